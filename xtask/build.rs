//! Tells the toolbox which target it is built for, so that it can name cargo's runner for it.

fn main() {
    println!(
        "cargo::rustc-env=XTASK_TARGET={}",
        std::env::var("TARGET").unwrap_or_default()
    );
}
