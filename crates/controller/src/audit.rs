//! The audit log: one JSON line per call, in the field names of CloudTrail's records, written before the reply.
//!
//! A line is handed to the kernel with one write; it is not synced. What cannot be written is kept, up to a bound, and
//! written first once that is possible again; until then nothing changes: see [`Audit::ready`].

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use api::Value;
use serde_json::{Map, json};

/// How long a file gets before the next one begins, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// How many files that are full are kept: `FILE.1` is the youngest.
const KEPT: usize = 8;
/// How many lines that could not be written are kept.
const MAX_WAITING: usize = 1024;
/// The longest parameters or reply in a record, in bytes; CloudTrail's own bound.
const MAX_PART: usize = 100 * 1024;

/// The log.
pub struct Audit {
    path: PathBuf,
    max_file: u64,
    state: Mutex<State>,
}

struct State {
    file: Option<File>,
    written: u64,
    waiting: VecDeque<Vec<u8>>,
}

impl Audit {
    /// Opens the log, which comes into being with mode 0600.
    ///
    /// # Errors
    /// If the file cannot be opened for writing.
    pub fn open(path: &Path) -> io::Result<Audit> {
        Audit::with_size(path, MAX_FILE)
    }

    fn with_size(path: &Path, max_file: u64) -> io::Result<Audit> {
        let (file, written) = open(path)?;
        Ok(Audit {
            path: path.to_owned(),
            max_file,
            state: Mutex::new(State {
                file: Some(file),
                written,
                waiting: VecDeque::new(),
            }),
        })
    }

    /// Whether every line so far is written; tries again if not. What changes something must wait for that.
    pub(crate) fn ready(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.is_empty() || self.flush(&mut state).is_ok()
    }

    /// Writes one record. If that fails, it is kept for later.
    ///
    /// # Errors
    /// Why it is not written yet.
    pub(crate) fn record(&self, record: &serde_json::Value) -> io::Result<()> {
        let mut line = record.to_string().into_bytes();
        line.push(b'\n');
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.len() >= MAX_WAITING {
            // Only reads come this far, as nothing changes while lines wait.
            return Err(io::Error::other("too many records wait"));
        }
        state.waiting.push_back(line);
        self.flush(&mut state)
    }

    fn flush(&self, state: &mut State) -> io::Result<()> {
        while let Some(line) = state.waiting.front() {
            if state.file.is_none() || state.written >= self.max_file {
                if state.written >= self.max_file {
                    state.file = None;
                    self.rotate()?;
                }
                let (file, written) = open(&self.path)?;
                state.file = Some(file);
                state.written = written;
            }
            let Some(file) = state.file.as_mut() else {
                return Err(io::ErrorKind::NotFound.into());
            };
            if let Err(error) = file.write_all(line) {
                // Part of it may be there: the next line begins on one of its own.
                state.file = None;
                return Err(error);
            }
            state.written += line.len() as u64;
            state.waiting.pop_front();
        }
        Ok(())
    }

    /// `FILE` becomes `FILE.1`, that `FILE.2`, and so on; the oldest goes.
    fn rotate(&self) -> io::Result<()> {
        let numbered = |n: usize| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..KEPT).rev() {
            absent_is_fine(std::fs::rename(numbered(n), numbered(n + 1)))?;
        }
        absent_is_fine(std::fs::rename(&self.path, numbered(1)))
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The file to append to, and how long it is. A line that broke off is ended.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    let whole = length == 0 || {
        use std::os::unix::fs::FileExt;
        let mut last = [0];
        File::open(path)?.read_exact_at(&mut last, length - 1)?;
        last == *b"\n"
    };
    if !whole {
        file.write_all(b"\n")?;
    }
    Ok((file, length))
}

/// Members whose value nobody but the caller may see.
const SECRET: [&str; 12] = [
    "EncodedMessage",
    "KeyMaterial",
    "PreSharedKey",
    "PublicKeyMaterial",
    "SecretAccessKey",
    "SerialNumber",
    "SessionToken",
    "TokenCode",
    "TrustedToken",
    "UserData",
    "WebIdentityToken",
    "DecodedMessage",
];

/// Parameters or a reply as a record has them: names begin with a small letter, secrets are elided, and what is too long
/// is only measured.
pub(crate) fn part(value: &Value) -> serde_json::Value {
    let json = plain(value);
    if json.as_object().is_some_and(Map::is_empty) {
        return serde_json::Value::Null;
    }
    let length = json.to_string().len();
    if length <= MAX_PART {
        return json;
    }
    json!({"omitted": true, "originalSize": length, "reasonPhrase": format!("larger than {MAX_PART} bytes")})
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Structure(members) => {
            let members = members.iter().map(|(name, value)| {
                let hidden = SECRET.contains(&name.as_str());
                let value = if hidden {
                    json!("<sensitiveDataRemoved>")
                } else {
                    plain(value)
                };
                (small(name), value)
            });
            serde_json::Value::Object(members.collect())
        }
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(items) => {
            let items = items.iter().map(|(key, value)| (key.clone(), plain(value)));
            serde_json::Value::Object(items.collect())
        }
        Value::String(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::Timestamp(time) => json!(time.to_string()),
        Value::Blob(octets) => json!({"length": octets.len()}),
    }
}

fn small(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn structure(members: &[(&str, Value)]) -> Value {
        let members = members
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        Value::Structure(members.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn secrets_are_elided_and_sizes_bounded() {
        let text = |text: &str| Value::String(text.to_owned());
        let value = structure(&[
            ("CidrBlock", text("10.0.0.0/16")),
            (
                "Credentials",
                structure(&[
                    ("SecretAccessKey", text("hush")),
                    ("AccessKeyId", text("A")),
                ]),
            ),
            (
                "Ids",
                Value::List(vec![Value::Integer(1), Value::Boolean(true)]),
            ),
        ]);
        assert_eq!(
            part(&value),
            json!({
                "cidrBlock": "10.0.0.0/16",
                "credentials": {"secretAccessKey": "<sensitiveDataRemoved>", "accessKeyId": "A"},
                "ids": [1, true],
            })
        );
        let long = structure(&[("A", text(&"x".repeat(MAX_PART)))]);
        assert_eq!(part(&long)["omitted"], true);
        assert_eq!(part(&Value::empty()), serde_json::Value::Null);
    }

    #[test]
    fn files_rotate_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let audit = Audit::with_size(&path, 40).unwrap();
        for n in 0..100 {
            audit
                .record(&json!({"n": n, "text": "0123456789"}))
                .unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), KEPT + 1, "{names:?}");
        let lines = |name: &str| {
            let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
            let lines = text.lines().map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                record["n"].as_u64().unwrap()
            });
            lines.collect::<Vec<_>>()
        };
        assert_eq!(lines("audit.log"), [98, 99]);
        assert_eq!(lines("audit.log.1"), [96, 97]);
        assert_eq!(lines("audit.log.8"), [82, 83]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_could_not_be_written_is_written_first() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let path = home.join("audit.log");
        let audit = Audit::with_size(&path, 1).unwrap();
        audit.record(&json!(1)).unwrap();
        let away = dir.path().join("away");
        std::fs::rename(&home, &away).unwrap();
        assert!(audit.record(&json!(2)).is_err());
        assert!(!audit.ready());
        assert!(audit.record(&json!(3)).is_err());
        std::fs::rename(&away, &home).unwrap();
        assert!(audit.ready());
        audit.record(&json!(4)).unwrap();
        let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
        assert_eq!(
            [
                read("audit.log.3"),
                read("audit.log.2"),
                read("audit.log.1"),
                read("audit.log")
            ],
            ["1\n", "2\n", "3\n", "4\n"]
        );
        std::fs::write(home.join("audit.log"), "{\"n\":").unwrap();
        let audit = Audit::open(&path).unwrap();
        audit.record(&json!(5)).unwrap();
        assert_eq!(read("audit.log"), "{\"n\":\n5\n");
    }
}
