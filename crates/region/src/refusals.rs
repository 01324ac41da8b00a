//! Nothing is accepted and ignored: for every action, whatever stands in the shape of its input is a member of the
//! handler's request or refused by its name.

use std::collections::{BTreeMap, BTreeSet};

use api::{Kind, Service, Value};

use crate::testing::World;

/// A member that no shape has.
const STRANGER: &str = "PolderStranger";
/// Shapes that contain themselves end here.
const MAX_DEPTH: usize = 6;

/// Where a value stands in a request: members, and the first elements of lists.
#[derive(Clone)]
enum Step {
    Member(&'static str),
    Element,
}

/// A request with only this value in it.
fn around(path: &[Step], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, step| match step {
        Step::Member(name) => Value::Structure(BTreeMap::from([((*name).to_owned(), inner)])),
        Step::Element => Value::List(vec![inner]),
    })
}

/// The names by which an error may refuse what is at the path: its own, and those of what it stands in.
fn names(path: &[Step]) -> Vec<String> {
    let mut name = String::new();
    let mut names = Vec::new();
    for step in path {
        if !name.is_empty() {
            name.push('.');
        }
        match step {
            Step::Member(member) => {
                name.push_str(member);
                names.push(name.clone());
            }
            Step::Element => name.push('1'),
        }
    }
    names
}

/// Calls `structure` with the path of every structure in a shape, and `leaf` with that of every other value.
fn visit(
    service: &'static Service,
    shape: &str,
    path: &mut Vec<Step>,
    structure: &mut dyn FnMut(&[Step]),
    leaf: &mut dyn FnMut(&[Step], Value),
) {
    if path.len() > MAX_DEPTH {
        return;
    }
    let shape = service.shape(shape).unwrap();
    match &shape.kind {
        Kind::Structure(members) => {
            structure(path);
            for member in members {
                path.push(Step::Member(member.name));
                visit(service, member.shape, path, structure, leaf);
                path.pop();
            }
        }
        Kind::List(element) => {
            path.push(Step::Element);
            visit(service, element.shape, path, structure, leaf);
            path.pop();
        }
        Kind::Map(_) => leaf(path, Value::Map(BTreeMap::new())),
        Kind::String(known) => {
            let text = known.last().copied().unwrap_or("x");
            leaf(path, Value::String(text.to_owned()));
        }
        Kind::Integer | Kind::Long => leaf(path, Value::Integer(7)),
        Kind::Float => leaf(path, Value::Float(7.5)),
        Kind::Boolean => leaf(path, Value::Boolean(true)),
        Kind::Timestamp => leaf(path, Value::Timestamp(api::Timestamp::from_millis(0))),
        Kind::Blob => leaf(path, Value::Blob(vec![7])),
    }
}

/// What the action answers, whether or not that is an error: code and message.
fn answer(world: &mut World, action: &str, input: Value) -> (String, String) {
    match world.execute(action, input) {
        Ok(_) => (String::new(), String::new()),
        Err(error) => (error.code.into_owned(), error.message),
    }
}

fn served(world: &mut World) -> Vec<(&'static Service, &'static str)> {
    let services = [Service::ec2(), Service::route53()];
    services
        .into_iter()
        .flat_map(|service| service.actions().map(move |action| (service, action)))
        .filter(|(_, action)| {
            let (code, message) = answer(world, action, Value::empty());
            code != "UnsupportedOperation" || !message.starts_with("The action ")
        })
        .collect()
}

#[test]
fn every_member_is_honoured_or_refused_by_name() {
    let mut world = World::new();
    let served = served(&mut world);
    assert!(served.len() > 70, "{} actions", served.len());
    let (mut structures, mut refused) = (0, BTreeSet::new());
    for (service, action) in served {
        let Some(input) = service.operation(action).unwrap().input else {
            continue;
        };
        let (mut levels, mut leaves) = (Vec::new(), Vec::new());
        visit(
            service,
            input,
            &mut Vec::new(),
            &mut |path| levels.push(path.to_vec()),
            &mut |path, value| leaves.push((path.to_vec(), value)),
        );
        // Each structure of the request refuses what it does not know, or is refused itself: then every member of its
        // shape that the handler does not take is refused too.
        for mut level in levels {
            structures += 1;
            level.push(Step::Member(STRANGER));
            let request = around(&level, Value::String("x".to_owned()));
            let (code, message) = answer(&mut world, action, request);
            let named = names(&level).into_iter().any(|name| {
                message == format!("The parameter {name} of {action} is not supported by Polder")
            });
            assert!(
                code == "UnsupportedOperation" && named,
                "{action} takes {}: `{code}: {message}`",
                names(&level).pop().unwrap_or_default()
            );
        }
        // What is refused is refused by its name, and nothing breaks.
        for (path, value) in leaves {
            let (code, message) = answer(&mut world, action, around(&path, value));
            let names = names(&path);
            let own = names.last().unwrap();
            assert_ne!(code, "InternalError", "{action} {own}: {message}");
            if message.ends_with("is not supported by Polder") {
                assert!(
                    names.iter().any(|name| {
                        let member = name.rsplit('.').next().unwrap();
                        message.contains(member)
                    }),
                    "{action} {own}: `{code}: {message}`"
                );
                refused.insert(format!("{action} {own}"));
            }
        }
    }
    assert!(structures > 200 && refused.len() > 20);
}
