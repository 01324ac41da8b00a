//! Conformance, driven from the model and from stories.
//!
//! A story (`crates/region/stories/*.story`) is a list of requests as clients make them. Each one goes over the wire
//! format, and its reply must be of the model's shape. Before a request of a story is carried out, wrong copies of it
//! are derived from the model: without a required member, with another type, with an id of nobody, by a stranger, as a
//! dry run; each must meet its class of error and change nothing. Every action that is served must be in a story.
//!
//! A line is `Action {parameters as JSON}`, and after it either what to keep of the reply, `-> vpc=Vpc.VpcId`, or the
//! code of the error that it must meet, `!! InvalidVpcID.NotFound`. `$vpc` stands for what was kept. A line that ends
//! in `\` goes on in the next one. `@account N`, `@region R`, `@pass SECONDS` change who asks, where, and when;
//! `@shared` before a request says that strangers may make it too. `#` begins a comment.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a story that is not as it must be fails the test"
)]

mod mutations;
mod script;
mod wire;

use std::path::Path;

use script::Story;

fn stories() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    let mut found: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "story")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// Tells a story to its end.
fn tell((name, text): &(String, String)) -> Story {
    let mut story = Story::new();
    for line in script::lines(name, text) {
        story.take(&line);
    }
    story
}

#[test]
fn every_action_is_told_and_every_wrong_copy_is_refused() {
    let stories = stories();
    assert!(stories.len() > 3);
    // Stories are independent of each other: two threads, as the machines that run this have two cores at least.
    let (first, second) = stories.split_at(stories.len() / 2);
    let told: Vec<Story> = std::thread::scope(|scope| {
        let threads =
            [first, second].map(|part| scope.spawn(|| part.iter().map(tell).collect::<Vec<_>>()));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let problems: Vec<&String> = told.iter().flat_map(|story| &story.problems).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(told.iter().map(|story| story.copies).sum::<usize>() > 400);
    let untold: Vec<String> = region::support()
        .iter()
        .filter(|support| ["ec2", "sts"].contains(&support.service))
        .map(|support| format!("{}:{}", support.service, support.action))
        .filter(|action| told.iter().all(|story| !story.succeeded.contains(action)))
        .collect();
    assert!(
        untold.is_empty(),
        "no story in crates/region/stories calls these with success: {}",
        untold.join(" ")
    );
}
