//! What the fuzzer has found, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/packet.rs"]
mod body;

#[test]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/packet");
    let mut runs = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let data = std::fs::read(&path).expect("a file");
        let run = std::panic::catch_unwind(|| body::run(&data));
        assert!(run.is_ok(), "{}", path.display());
        runs += 1;
    }
    assert!(runs > 10, "{runs} files");
}
