//! What the fuzzer has found, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/api.rs"]
mod body;

#[test]
fn corpus() {
    testkit::replay_corpus("api", |data| {
        body::run(data);
    });
}
