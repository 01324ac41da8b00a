//! Wrong copies of a right request, from the model, and the class of error that each must meet.

use api::{Kind, Member};
use serde_json::{Value as Json, json};

use crate::script::{Step, Story};

/// Where a value stands in a request.
type Path = Vec<Place>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Member(String),
    Element(usize),
}

/// Makes every wrong copy of the request in the state before it.
pub(crate) fn check(story: &mut Story, step: &Step) {
    dry_run(story, step);
    unknown_member(story, step);
    let shape = step.service.operation(&step.action).and_then(|o| o.input);
    let mut places = Vec::new();
    if let Some(shape) = shape {
        walk(step, shape, &step.input, &mut Vec::new(), &mut places);
    }
    for (path, kind) in places {
        match kind {
            Found::Required => missing(story, step, &path),
            Found::Number => wrong_number(story, step, &path),
            Found::Truth => wrong_truth(story, step, &path),
            Found::Enumeration => wrong_word(story, step, &path),
            Found::Text => wrong_id(story, step, &path),
        }
    }
    stranger(story, step);
}

enum Found {
    Required,
    Number,
    Truth,
    Enumeration,
    Text,
}

/// What of the request the model says something about.
fn walk(step: &Step, shape: &str, value: &Json, path: &mut Path, found: &mut Vec<(Path, Found)>) {
    let Some(shape) = step.service.shape(shape) else {
        return;
    };
    match (&shape.kind, value) {
        (Kind::Structure(members), Json::Object(present)) => {
            for (name, value) in present {
                let Some(member) = members.iter().find(|member| member.name == *name) else {
                    panic!("{}: {} has no member {name}", step.place, shape.name);
                };
                path.push(Place::Member(name.clone()));
                if is_required(member, path) {
                    found.push((path.clone(), Found::Required));
                }
                walk(step, member.shape, value, path, found);
                path.pop();
            }
        }
        (Kind::List(element), Json::Array(elements)) => {
            for (index, value) in elements.iter().enumerate() {
                path.push(Place::Element(index));
                walk(step, element.shape, value, path, found);
                path.pop();
            }
        }
        (Kind::Integer | Kind::Long, _) => found.push((path.clone(), Found::Number)),
        (Kind::Boolean, _) => found.push((path.clone(), Found::Truth)),
        (Kind::String(words), _) if !words.is_empty() => {
            found.push((path.clone(), Found::Enumeration));
        }
        (Kind::String(_), _) => found.push((path.clone(), Found::Text)),
        _ => {}
    }
}

/// At the top of a request the model is right about what is required.
fn is_required(member: &Member, path: &Path) -> bool {
    member.required && path.len() == 1
}

fn at<'v>(value: &'v mut Json, path: &[Place]) -> &'v mut Json {
    path.iter().fold(value, |value, place| match place {
        Place::Member(name) => &mut value[name],
        Place::Element(index) => &mut value[index],
    })
}

/// The request with another value at a place.
fn with(step: &Step, path: &[Place], new: Json) -> Json {
    let mut input = step.input.clone();
    *at(&mut input, path) = new;
    input
}

/// Makes a wrong copy and notes it if it is not refused with a code of its class.
fn expect(
    story: &mut Story,
    step: &Step,
    input: &Json,
    what: &str,
    is_right: impl Fn(&str) -> bool,
) {
    story.copies += 1;
    let met = match story.attempt(step, input) {
        Ok(_) => "no error".to_owned(),
        Err(error) if is_right(&error.code) => return,
        Err(error) => format!("{}: {}", error.code, error.message),
    };
    let problem = format!("{}: {} {what} meets {met}", step.place, step.action);
    story.problems.push(problem);
}

fn dry_run(story: &mut Story, step: &Step) {
    let shape = step
        .service
        .operation(&step.action)
        .and_then(|operation| operation.input);
    let shape = shape.and_then(|shape| step.service.shape(shape));
    if shape.is_none_or(|shape| shape.members().iter().all(|m| m.name != "DryRun")) {
        return;
    }
    let mut input = step.input.clone();
    input["DryRun"] = json!(true);
    expect(story, step, &input, "as a dry run", |code| {
        code == "DryRunOperation"
    });
}

fn unknown_member(story: &mut Story, step: &Step) {
    let mut input = step.input.clone();
    input["PolderStranger"] = json!("x");
    expect(story, step, &input, "with a member of no model", |code| {
        code == "UnknownParameter"
    });
}

fn missing(story: &mut Story, step: &Step, path: &[Place]) {
    let input = with(step, path, Json::Null);
    expect(story, step, &input, &format!("without {path:?}"), |code| {
        ["MissingParameter", "MissingInput", "ValidationError"].contains(&code)
    });
}

fn wrong_number(story: &mut Story, step: &Step, path: &[Place]) {
    let words = with(step, path, json!("many"));
    let what = format!("with words at {path:?}");
    expect(story, step, &words, &what, is_invalid);
    // What a number may be is the action's business; none may break it.
    for number in [-1_i64, 0, i64::from(i32::MAX), i64::MAX] {
        if let Err(error) = story.attempt(step, &with(step, path, json!(number)))
            && error.code == "InternalError"
        {
            let problem = format!("{}: {number} at {path:?}: {error}", step.place);
            story.problems.push(problem);
        }
    }
}

fn wrong_truth(story: &mut Story, step: &Step, path: &[Place]) {
    let word = with(step, path, json!("perhaps"));
    let what = format!("with a word at {path:?}");
    expect(story, step, &word, &what, is_invalid);
}

fn wrong_word(story: &mut Story, step: &Step, path: &[Place]) {
    let nonsense = with(step, path, json!("polder-nonsense"));
    let what = format!("with nonsense at {path:?}");
    expect(story, step, &nonsense, &what, is_invalid);
}

fn is_invalid(code: &str) -> bool {
    code.starts_with("Invalid")
        || code.starts_with("Malformed")
        || code.ends_with("Malformed")
        || code == "ValidationError"
        || code == "UnsupportedOperation"
}

/// An id that was kept, replaced by one that nobody has, and by none at all.
fn wrong_id(story: &mut Story, step: &Step, path: &[Place]) {
    let mut written = step.written.clone();
    let is_kept = at(&mut written, path)
        .as_str()
        .is_some_and(|text| text.starts_with('$'));
    let mut input = step.input.clone();
    let id = at(&mut input, path).as_str().unwrap_or_default().to_owned();
    let Some((prefix, digits)) = id.rsplit_once('-') else {
        return;
    };
    if !is_kept || digits.len() != 17 || digits.bytes().any(|b| !b.is_ascii_hexdigit()) {
        return;
    }
    // In a list of filter values an unknown id matches nothing, and that is no error.
    let filters = Place::Member("Filters".to_owned());
    if path.contains(&filters) {
        return;
    }
    let unknown = with(step, path, json!(format!("{prefix}-0123456789abcdef0")));
    if answers_with_failures(story, step, &unknown) {
        return;
    }
    let what = format!("with an unknown id at {path:?}");
    expect(story, step, &unknown, &what, is_not_found);
    let malformed = with(step, path, json!(format!("{prefix}-xyz")));
    let what = format!("with a malformed id at {path:?}");
    expect(story, step, &malformed, &what, |code| {
        is_not_found(code) || is_invalid(code)
    });
}

/// Actions on many things may answer with the ones that failed, instead of an error.
fn answers_with_failures(story: &mut Story, step: &Step, input: &Json) -> bool {
    let Ok(done) = story.attempt(step, input) else {
        return false;
    };
    ["Unsuccessful", "UnsuccessfulInstanceCreditSpecifications"].iter().any(|member| {
        matches!(done.reply.get(member), Some(api::Value::List(items)) if !items.is_empty())
    })
}

fn is_not_found(code: &str) -> bool {
    code.contains("NotFound")
        || code.contains("NotAssociated")
        || code.starts_with("NoSuch")
        || code.contains("Unknown")
        // EC2 has no other words for these two.
        || ["InvalidConnectionNotification", "InvalidServiceName"].contains(&code)
}

/// What names something of one's own is refused to a stranger.
fn stranger(story: &mut Story, step: &Step) {
    let names_own = step.written.to_string().contains("\"$");
    let filters = step.written.get("Filters").is_some();
    if !names_own || step.shared || step.action.starts_with("Describe") && filters {
        return;
    }
    let account = std::mem::replace(&mut story.account, "999988887777".to_owned());
    if !answers_with_failures(story, step, &step.input) {
        expect(story, step, &step.input, "of a stranger", |code| {
            code != "InternalError"
        });
    }
    story.account = account;
}
