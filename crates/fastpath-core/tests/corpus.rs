//! What the fuzzer has found, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/fastpath_core.rs"]
mod body;

#[test]
fn corpus() {
    testkit::replay_corpus("fastpath_core", |data| {
        body::run(data);
    });
}
