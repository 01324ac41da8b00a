//! What the fuzzer has found, again: the committed corpus (see CONTRIBUTING.md).

#[path = "../../../fuzz/src/packet.rs"]
mod body;

#[test]
fn corpus() {
    testkit::replay_corpus("packet", |data| {
        body::run(data);
    });
}
