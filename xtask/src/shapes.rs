//! `cargo xtask shapes`: the facts of AWS service models as text tables that the `api` crate reads.
//!
//! botocore (Apache-2.0) ships the models. Kept are names, types, bounds and enumerations of everything that an
//! operation reaches; documentation is not. The grammar of a table is described in `crates/api/src/shapes.rs`.
//! A trait of a shape or member that this tool does not know is an error, so that no fact is lost unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// Name of the table, and directory of the model below `botocore/data`.
const SERVICES: [(&str, &str); 3] = [
    ("ec2", "ec2/2016-11-15"),
    ("route53", "route53/2013-04-01"),
    ("sts", "sts/2011-06-15"),
];

/// What `cargo xtask shapes` is asked for.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Compare with the committed tables (and their botocore version) instead of writing
    #[arg(long)]
    check: bool,
    /// The botocore version to take; the newest when writing, the committed one when checking
    #[arg(long)]
    botocore: Option<String>,
}

/// Writes the tables, or compares them when `--check` is given.
///
/// # Errors
/// pip or Python fails, a model has a fact without a place in the table, or a committed table differs.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/api/shapes");
    let version = match (&options.botocore, options.check) {
        (None, true) => Some(committed_version(&folder)?),
        (version, _) => version.clone(),
    };
    let models = tempfile::tempdir()?;
    let version = download(version.as_deref(), models.path())?;
    let mut stale = Vec::new();
    for (name, data) in SERVICES {
        let text = std::fs::read_to_string(model_file(models.path(), data)?)?;
        let model: Model =
            serde_json::from_str(&text).with_context(|| format!("model of {name}"))?;
        let table = table(name, &version, &model).with_context(|| format!("table of {name}"))?;
        let path = folder.join(format!("{name}.shapes"));
        if !options.check {
            std::fs::write(&path, table)?;
        } else if std::fs::read_to_string(&path)? != table {
            stale.push(name);
        }
    }
    ensure!(
        stale.is_empty(),
        "tables differ from botocore {version}: {}; run `cargo xtask shapes --botocore {version}`",
        stale.join(", ")
    );
    Ok(())
}

/// The version that the committed tables' first line names.
fn committed_version(folder: &Path) -> anyhow::Result<String> {
    let mut versions = BTreeSet::new();
    for (name, _) in SERVICES {
        let text = std::fs::read_to_string(folder.join(format!("{name}.shapes")))?;
        let version = text
            .lines()
            .next()
            .and_then(|line| line.split("botocore ").nth(1))
            .and_then(|rest| rest.split(' ').next())
            .with_context(|| format!("{name}.shapes names no botocore version"))?;
        versions.insert(version.to_owned());
    }
    ensure!(
        versions.len() == 1,
        "the tables are of different versions: {versions:?}"
    );
    versions.pop_first().context("no table")
}

/// Fetches botocore's wheel with pip and unpacks it into `into`; returns its version.
fn download(version: Option<&str>, into: &Path) -> anyhow::Result<String> {
    let wanted = version.map_or("botocore".to_owned(), |v| format!("botocore=={v}"));
    python(
        into,
        &[
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            &wanted,
        ],
    )?;
    let mut wheels = std::fs::read_dir(into)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    wheels.retain(|name| name.ends_with(".whl"));
    let [wheel] = wheels.as_slice() else {
        bail!("pip fetched {wheels:?}, not one wheel")
    };
    let version = wheel
        .split('-')
        .nth(1)
        .with_context(|| format!("wheel name `{wheel}`"))?;
    python(into, &["-m", "zipfile", "-e", wheel, "."])?;
    Ok(version.to_owned())
}

/// The JSON file of a model, unpacked where the wheel has it compressed.
fn model_file(root: &Path, data: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join("botocore/data").join(data);
    let plain = folder.join("service-2.json");
    if !plain.exists() {
        python(&folder, &["-m", "gzip", "-d", "service-2.json.gz"])?;
    }
    Ok(plain)
}

fn python(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("python3")
        .args(arguments)
        .current_dir(folder)
        .status()?;
    ensure!(
        status.success(),
        "python3 {} failed: {status}",
        arguments.join(" ")
    );
    Ok(())
}

/// A JSON object in the order in which it is written: the order of members is the order of a reply.
struct Ordered<V>(Vec<(String, V)>);

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = Ordered<V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    metadata: Metadata,
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    api_version: String,
    protocol: String,
    xml_namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    http: Http,
    input: Option<Target>,
    output: Option<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Http {
    method: String,
    request_uri: String,
    response_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    shape: String,
    result_wrapper: Option<String>,
    location_name: Option<String>,
    xml_namespace: Option<Namespace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Namespace {
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    members: Ordered<Member>,
    #[serde(default)]
    required: BTreeSet<String>,
    member: Option<Member>,
    key: Option<Member>,
    value: Option<Member>,
    #[serde(rename = "enum", default)]
    values: Vec<String>,
    min: Option<serde_json::Number>,
    max: Option<serde_json::Number>,
    pattern: Option<String>,
    timestamp_format: Option<String>,
    #[serde(default)]
    flattened: bool,
    #[expect(
        dead_code,
        reason = "read so that it counts as known: secrecy of a value is not a wire fact"
    )]
    sensitive: Option<IgnoredAny>,
    #[expect(dead_code, reason = "known and left out: prose")]
    documentation: Option<IgnoredAny>,
    #[expect(dead_code, reason = "known and left out: still on the wire")]
    deprecated: Option<IgnoredAny>,
    #[expect(
        dead_code,
        reason = "known and left out: serializers use the name of the list's member"
    )]
    location_name: Option<IgnoredAny>,
    #[expect(
        dead_code,
        reason = "known and left out: errors are no operation's input or output"
    )]
    exception: Option<IgnoredAny>,
    #[expect(
        dead_code,
        reason = "known and left out: errors are no operation's input or output"
    )]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Member {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    #[serde(default)]
    idempotency_token: bool,
    #[expect(dead_code, reason = "known and left out: prose")]
    documentation: Option<IgnoredAny>,
    #[expect(dead_code, reason = "known and left out: still on the wire")]
    deprecated: Option<IgnoredAny>,
    #[expect(dead_code, reason = "known and left out: prose")]
    deprecated_message: Option<IgnoredAny>,
    #[expect(dead_code, reason = "known and left out: prose")]
    deprecated_since: Option<IgnoredAny>,
}

/// Which shapes requests and replies reach: wire names are written only for the direction that uses them.
fn reachable<'m>(model: &'m Model, roots: impl Iterator<Item = &'m Target>) -> BTreeSet<&'m str> {
    let mut open: Vec<&str> = roots.map(|target| target.shape.as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(shape) = model.shapes.get(name).filter(|_| seen.insert(name)) else {
            continue;
        };
        open.extend(
            shape
                .members
                .0
                .iter()
                .map(|(_, member)| member.shape.as_str()),
        );
        open.extend(
            [&shape.member, &shape.key, &shape.value]
                .into_iter()
                .flatten()
                .map(|m| m.shape.as_str()),
        );
    }
    seen
}

/// The namespace of the service, which rest-xml models name at each request with a body.
fn namespace(model: &Model) -> anyhow::Result<&str> {
    let inputs = model.operations.values().filter_map(|o| o.input.as_ref());
    let mut named: BTreeSet<&str> = inputs
        .filter_map(|input| Some(input.xml_namespace.as_ref()?.uri.as_str()))
        .collect();
    named.extend(model.metadata.xml_namespace.as_deref());
    ensure!(named.len() == 1, "not one namespace: {named:?}");
    named.pop_first().context("no namespace")
}

fn table(service: &str, version: &str, model: &Model) -> anyhow::Result<String> {
    let inputs = reachable(
        model,
        model.operations.values().filter_map(|o| o.input.as_ref()),
    );
    let outputs = reachable(
        model,
        model.operations.values().filter_map(|o| o.output.as_ref()),
    );
    let mut out = format!(
        "# From botocore {version} (Apache-2.0) by `cargo xtask shapes`; not edited by hand\n\
         service {service}\nversion {}\nprotocol {}\nnamespace {}\n\noperations\n",
        model.metadata.api_version,
        model.metadata.protocol,
        namespace(model)?
    );
    for (name, operation) in &model.operations {
        let shape = |t: &Option<Target>| t.as_ref().map_or("-".to_owned(), |t| t.shape.clone());
        write!(
            out,
            "{name} {} {}",
            shape(&operation.input),
            shape(&operation.output)
        )?;
        if let Some(wrapper) = operation
            .output
            .as_ref()
            .and_then(|t| t.result_wrapper.as_ref())
        {
            write!(out, " wrapper={wrapper}")?;
        }
        if operation.http.method != "POST" {
            write!(out, " method={}", operation.http.method)?;
        }
        if operation.http.request_uri != "/" {
            write!(out, " uri={}", operation.http.request_uri)?;
        }
        if let Some(status) = operation.http.response_code.filter(|status| *status != 200) {
            write!(out, " status={status}")?;
        }
        if let Some(root) = operation
            .input
            .as_ref()
            .and_then(|t| t.location_name.as_ref())
        {
            write!(out, " root={root}")?;
        }
        out.push('\n');
    }
    out.push_str("\nshapes\n");
    for name in inputs.union(&outputs).copied() {
        let shape = model
            .shapes
            .get(name)
            .with_context(|| format!("no shape `{name}`"))?;
        let directions = (inputs.contains(name), outputs.contains(name));
        write_shape(
            &mut out,
            name,
            shape,
            directions,
            model.metadata.protocol == "ec2",
        )
        .with_context(|| format!("shape `{name}`"))?;
    }
    ensure!(out.is_ascii(), "a table is ASCII");
    Ok(out)
}

fn write_shape(
    out: &mut String,
    name: &str,
    shape: &Shape,
    (input, output): (bool, bool),
    ec2: bool,
) -> anyhow::Result<()> {
    write!(out, "{name} {}", shape.kind)?;
    for (attribute, part) in [
        ("name", &shape.member),
        ("key", &shape.key),
        ("value", &shape.value),
    ] {
        let Some(part) = part else { continue };
        write!(out, " {}", part.shape)?;
        if let Some(wire) = &part.location_name {
            write!(out, " {attribute}={wire}")?;
        }
    }
    if shape.flattened {
        out.push_str(" flattened");
    }
    for (attribute, bound) in [("min", &shape.min), ("max", &shape.max)] {
        if let Some(bound) = bound {
            write!(out, " {attribute}={bound}")?;
        }
    }
    if let Some(format) = &shape.timestamp_format {
        write!(out, " format={format}")?;
    }
    if let Some(pattern) = &shape.pattern {
        ensure!(!pattern.contains('\n'), "pattern of several lines");
        write!(out, " pattern={pattern}")?;
    }
    out.push('\n');
    for value in &shape.values {
        ensure!(
            value.trim() == value && !value.contains('\n'),
            "enumeration value `{value}`"
        );
        writeln!(out, " {value}")?;
    }
    for (member_name, member) in &shape.members.0 {
        write!(out, " {member_name} {}", member.shape)?;
        let asked = input_name(member_name, member, ec2);
        if input && asked != *member_name {
            write!(out, " in={asked}")?;
        }
        match &member.location_name {
            Some(wire)
                if output && *wire == first_letter(member_name, char::to_ascii_lowercase) =>
            {
                out.push_str(" ~");
            }
            Some(wire) if output && wire != member_name => write!(out, " out={wire}")?,
            Some(_) | None => {}
        }
        if let Some(place) = &member.location {
            ensure!(
                ["uri", "querystring", "header"].contains(&place.as_str()),
                "`{member_name}` stands in `{place}`"
            );
            write!(out, " at={place}")?;
        }
        if shape.required.contains(member_name) {
            out.push_str(" required");
        }
        if member.idempotency_token {
            out.push_str(" token");
        }
        out.push('\n');
    }
    Ok(())
}

/// A member's name in a request. EC2 has a name of its own for requests, and otherwise capitalises the reply's.
fn input_name(name: &str, member: &Member, ec2: bool) -> String {
    match (&member.query_name, &member.location_name) {
        (Some(wire), _) if ec2 => wire.clone(),
        (_, Some(wire)) if ec2 => first_letter(wire, char::to_ascii_uppercase),
        (_, Some(wire)) => wire.clone(),
        (_, None) => name.to_owned(),
    }
}

fn first_letter(name: &str, change: fn(&char) -> char) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .as_ref()
        .map(change)
        .into_iter()
        .chain(letters)
        .collect()
}
