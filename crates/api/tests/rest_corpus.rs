//! What the fuzzer has found in rest-xml, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/rest.rs"]
mod body;

#[test]
fn corpus() {
    testkit::replay_corpus("rest", |data| {
        body::run(data);
    });
}
