//! The benchmark's yardstick, no part of Polder: hands every frame to the port whose interface index differs in the
//! last two bits, unread. What a program that does nothing costs, `cargo xtask bench` measures beside ours.
#![no_std]
#![no_main]

use aya_ebpf::{
    EbpfContext, bindings::__sk_buff, helpers::bpf_redirect_peer, macros::classifier,
    programs::TcContext,
};

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[classifier]
pub fn redirect(ctx: TcContext) -> i32 {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: the context is valid for the program's run; a helper without pointers.
    unsafe { bpf_redirect_peer((*skb).ifindex ^ 3, 0) as i32 }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
