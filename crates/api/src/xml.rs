//! Replies: from a value of the action's output shape to XML.

use std::collections::BTreeMap;

use crate::error::ApiError;
use crate::form::is_xml;
use crate::shapes::{Element, Entry, Kind, Member, Operation, Place, Protocol, Service, Shape};
use crate::value::Value;

/// A reply that is not what its shape says: a fault of the handler, never of the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The shape has no such member.
    #[error("reply has `{0}`, which its shape does not")]
    UnknownMember(String),
    /// The value at that path is of another kind than its shape.
    #[error("reply has a {found} at `{path}`, where its shape has another kind")]
    WrongKind {
        /// Where.
        path: String,
        /// What stands there.
        found: &'static str,
    },
    /// The enumeration at that path does not have the value.
    #[error("reply has `{value}` at `{path}`, which is not of the enumeration")]
    UnknownValue {
        /// Where.
        path: String,
        /// What stands there.
        value: String,
    },
    /// The table has no such shape.
    #[error("table has no shape `{0}`")]
    UnknownShape(String),
    /// Nothing that a value can hold.
    #[error("reply holds a {0}")]
    Unrepresentable(&'static str),
    /// What a type said of itself.
    #[error("{0}")]
    Custom(String),
}

impl From<EncodeError> for ApiError {
    fn from(error: EncodeError) -> ApiError {
        ApiError::internal(error.to_string())
    }
}

/// Values of enumerations that EC2 answers with although its model does not list them, by shape. An internet
/// gateway's attachment is `available` (EC2 `InternetGatewayAttachment`); clients wait for that.
const BEYOND_THE_MODEL: &[(&str, &str)] = &[
    ("AttachmentStatus", "available"),
    // EC2 begins the states of endpoints with small letters, the model with capital ones.
    ("State", "available"),
    ("State", "deleted"),
    ("State", "deleting"),
    ("State", "pending"),
    ("State", "pendingAcceptance"),
    ("State", "rejected"),
];

/// Headers of a reply.
type Headers = Vec<(&'static str, String)>;

/// The whole document of a reply, and the headers that hold members of it.
pub(crate) fn reply(
    service: &'static Service,
    operation: &Operation,
    value: &Value,
    request_id: &str,
) -> Result<(Writer, Headers), EncodeError> {
    let mut encoder = Encoder {
        service,
        xml: Writer::new(),
        headers: Vec::new(),
        path: Vec::new(),
    };
    let root = format!("{}Response", operation.name);
    match service.protocol() {
        Protocol::Ec2 => {
            let slash = if service.namespace().ends_with('/') {
                ""
            } else {
                "/"
            };
            encoder
                .xml
                .open(&root, Some(&format!("{}{slash}", service.namespace())));
            encoder.xml.leaf("requestId", request_id);
            encoder.output(operation, value)?;
            if operation.output.is_none() {
                encoder.xml.leaf("return", "true");
            }
        }
        Protocol::Query => {
            encoder.xml.open(&root, Some(service.namespace()));
            match operation.wrapper {
                Some(wrapper) => {
                    encoder.xml.open(wrapper, None);
                    encoder.output(operation, value)?;
                    encoder.xml.close(wrapper);
                }
                None => encoder.output(operation, value)?,
            }
            encoder.xml.open("ResponseMetadata", None);
            encoder.xml.leaf("RequestId", request_id);
            encoder.xml.close("ResponseMetadata");
        }
        Protocol::RestXml => {
            encoder.xml.open(&root, Some(service.namespace()));
            encoder.output(operation, value)?;
        }
    }
    encoder.xml.close(&root);
    Ok((encoder.xml, encoder.headers))
}

/// Well-formed XML, whatever the text: characters that XML 1.0 cannot carry become U+FFFD.
#[derive(Debug)]
pub(crate) struct Writer(String);

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    pub(crate) fn open(&mut self, name: &str, namespace: Option<&str>) {
        self.0.push('<');
        self.0.push_str(name);
        if let Some(namespace) = namespace {
            self.0.push_str(" xmlns=\"");
            self.text(namespace);
            self.0.push('"');
        }
        self.0.push('>');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, None);
        self.text(text);
        self.close(name);
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // A bare carriage return would reach the client as a line feed (XML 1.0, section 2.11).
                '\r' => self.0.push_str("&#13;"),
                c if is_xml(c) => self.0.push(c),
                _ => self.0.push('\u{fffd}'),
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

struct Encoder {
    service: &'static Service,
    xml: Writer,
    headers: Headers,
    /// Members on the way, for errors.
    path: Vec<String>,
}

impl Encoder {
    fn shape(&self, name: &str) -> Result<&'static Shape, EncodeError> {
        self.service
            .shape(name)
            .ok_or_else(|| EncodeError::UnknownShape(name.to_owned()))
    }

    fn wrong(&self, value: &Value) -> EncodeError {
        EncodeError::WrongKind {
            path: self.path.join("."),
            found: value.noun(),
        }
    }

    /// The members of the operation's output; an operation without one takes an empty structure.
    fn output(&mut self, operation: &Operation, value: &Value) -> Result<(), EncodeError> {
        let members = match operation.output {
            Some(name) => self.shape(name)?.members(),
            None => &[],
        };
        self.members(members, value)
    }

    fn members(&mut self, members: &[Member], value: &Value) -> Result<(), EncodeError> {
        // A struct with a flattened part serializes as a map.
        let (Value::Structure(found) | Value::Map(found)) = value else {
            return Err(self.wrong(value));
        };
        let stranger = found
            .keys()
            .find(|name| !members.iter().any(|member| member.name == *name));
        if let Some(name) = stranger {
            self.path.push(name.clone());
            return Err(EncodeError::UnknownMember(self.path.join(".")));
        }
        for member in members {
            if let Some(value) = found.get(member.name) {
                self.path.push(member.name.to_owned());
                let shape = self.shape(member.shape)?;
                if member.place == Place::Header {
                    let text = self.scalar(shape, value)?;
                    if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
                        return Err(EncodeError::Unrepresentable("header that is not ASCII"));
                    }
                    self.headers.push((member.wire_in, text));
                } else {
                    self.element(&member.wire_out, shape, value)?;
                }
                self.path.pop();
            }
        }
        Ok(())
    }

    /// One value as an element of that name; a flattened list or map as several.
    fn element(
        &mut self,
        name: &str,
        shape: &'static Shape,
        value: &Value,
    ) -> Result<(), EncodeError> {
        match (&shape.kind, value) {
            (Kind::Structure(members), value) => {
                self.xml.open(name, None);
                self.members(members, value)?;
                self.xml.close(name);
                Ok(())
            }
            (Kind::List(element), Value::List(elements)) => self.list(name, element, elements),
            (Kind::Map(entry), Value::Map(entries)) => self.map(name, entry, entries),
            (_, value) => {
                let text = self.scalar(shape, value)?;
                self.xml.leaf(name, &text);
                Ok(())
            }
        }
    }

    fn list(
        &mut self,
        name: &str,
        element: &Element,
        elements: &[Value],
    ) -> Result<(), EncodeError> {
        let shape = self.shape(element.shape)?;
        if !element.flattened {
            self.xml.open(name, None);
        }
        let inner = element
            .wire
            .unwrap_or(if element.flattened { name } else { "member" });
        for value in elements {
            self.element(inner, shape, value)?;
        }
        if !element.flattened {
            self.xml.close(name);
        }
        Ok(())
    }

    fn map(
        &mut self,
        name: &str,
        entry: &Entry,
        entries: &BTreeMap<String, Value>,
    ) -> Result<(), EncodeError> {
        let shape = self.shape(entry.value)?;
        let around = if entry.flattened { name } else { "entry" };
        if !entry.flattened {
            self.xml.open(name, None);
        }
        for (key, value) in entries {
            self.xml.open(around, None);
            self.xml.leaf(entry.wire_key, key);
            self.element(entry.wire_value, shape, value)?;
            self.xml.close(around);
        }
        if !entry.flattened {
            self.xml.close(name);
        }
        Ok(())
    }

    fn scalar(&self, shape: &Shape, value: &Value) -> Result<String, EncodeError> {
        match (&shape.kind, value) {
            (Kind::String(values), Value::String(text)) => {
                let known = values.contains(&text.as_str())
                    || BEYOND_THE_MODEL.contains(&(shape.name, text.as_str()));
                if values.is_empty() || known {
                    Ok(text.clone())
                } else {
                    let path = self.path.join(".");
                    Err(EncodeError::UnknownValue {
                        path,
                        value: text.clone(),
                    })
                }
            }
            (Kind::Integer, Value::Integer(number)) if i32::try_from(*number).is_ok() => {
                Ok(number.to_string())
            }
            (Kind::Long | Kind::Float, Value::Integer(number)) => Ok(number.to_string()),
            (Kind::Float, Value::Float(number)) => Ok(number.to_string()),
            (Kind::Boolean, Value::Boolean(truth)) => Ok(truth.to_string()),
            (Kind::Timestamp, Value::Timestamp(time)) => Ok(time.to_string()),
            (Kind::Blob, Value::Blob(octets)) => Ok(base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                octets,
            )),
            _ => Err(self.wrong(value)),
        }
    }
}
