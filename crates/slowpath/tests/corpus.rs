//! What the fuzzer has found, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/slowpath.rs"]
mod body;

#[test]
fn corpus() {
    testkit::replay_corpus("slowpath", |data| {
        body::run(data);
    });
}
