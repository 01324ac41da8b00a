//! Requests of the rest-xml protocol: the path names the operation, and members stand in path, query string and body.

use std::collections::BTreeMap;

use crate::codec::HttpRequest;
use crate::decode::{self, Fault, Request};
use crate::error::{ApiError, clip};
use crate::form;
use crate::shapes::{Kind, Member, Operation, Place, Service, Shape};
use crate::value::Value;
use crate::xml_in::{self, Element};

/// The code of a request that its shape does not allow, as Route 53 has it.
const INVALID: &str = "InvalidInput";

/// Reads a request.
pub(crate) fn decode(
    service: &'static Service,
    http: &HttpRequest<'_>,
) -> Result<Request, ApiError> {
    form::check_length(http)?;
    let (operation, in_path) = find(service, http)?;
    let mut reader = Reader {
        service,
        path: Vec::new(),
    };
    let shape = operation.input.and_then(|name| service.shape(name));
    let members = shape.map(Shape::members).unwrap_or_default();
    let mut found = BTreeMap::new();
    for (name, text) in in_path {
        let member = placed(members, Place::Uri, name)
            .ok_or_else(|| ApiError::internal(format!("The table has no member {name}")))?;
        reader.put(&mut found, member, &Part::Text(&text))?;
    }
    for (name, text) in form::query_parameters(http)? {
        let member = placed(members, Place::Query, &name)
            .ok_or_else(|| unexpected("query parameter", &name))?;
        reader.put(&mut found, member, &Part::Text(&text))?;
    }
    match operation.root {
        _ if http.body.is_empty() => {}
        None => return Err(invalid("The request must not have a body")),
        Some(wanted) => {
            let root = xml_in::parse(http.body, service.namespace()).map_err(|why| broken(&why))?;
            if root.name != wanted {
                return Err(unexpected("element", &root.name));
            }
            reader.members(&mut found, members, &root)?;
        }
    }
    reader.check_required(&found, members)?;
    Ok(Request::new(service, operation, Value::Structure(found)))
}

fn placed(members: &'static [Member], place: Place, wire: &str) -> Option<&'static Member> {
    members
        .iter()
        .find(|member| member.place == place && member.wire_in == wire)
}

/// What stands in a path for its template's names.
type Captured<T> = Vec<(&'static str, T)>;

/// The operation of a method and path, and what stands in the path for its members.
fn find(
    service: &'static Service,
    http: &HttpRequest<'_>,
) -> Result<(&'static Operation, Captured<String>), ApiError> {
    let mut other_method = false;
    for operation in service.actions().filter_map(|name| service.operation(name)) {
        let Some(raw) = captured(operation.uri, http.path) else {
            continue;
        };
        if operation.method != http.method {
            other_method = true;
            continue;
        }
        let decoded = raw
            .into_iter()
            .map(|(name, text)| Ok((name, form::path_part(text)?)));
        return Ok((operation, decoded.collect::<Result<_, ApiError>>()?));
    }
    if other_method {
        let message = format!(
            "The method {} is not allowed on this path",
            clip(http.method)
        );
        return Err(ApiError::new("MethodNotAllowed", message));
    }
    let message = format!("The path {} is of no operation", clip(http.path));
    Err(ApiError::new("UnknownOperationException", message))
}

/// What stands for the names in braces, if the path is of the template; a last slash means nothing.
fn captured<'p>(template: &'static str, path: &'p str) -> Option<Captured<&'p str>> {
    let template = template.strip_suffix('/').unwrap_or(template);
    let path = path.strip_suffix('/').unwrap_or(path);
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut found = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(found),
            (Some(wanted), Some(given)) => {
                let name = wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}'));
                match name {
                    Some(name) if !given.is_empty() => found.push((name, given)),
                    None if wanted == given => {}
                    Some(_) | None => return None,
                }
            }
            (None, Some(_)) | (Some(_), None) => return None,
        }
    }
}

/// Where a member's value stands.
enum Part<'p> {
    Text(&'p str),
    Element(&'p Element),
}

struct Reader {
    service: &'static Service,
    /// Where the reader is, in the words of Amazon's messages: `changeBatch`, `changes`, `1`, `member`.
    path: Vec<String>,
}

impl Reader {
    fn put(
        &mut self,
        found: &mut BTreeMap<String, Value>,
        member: &'static Member,
        part: &Part<'_>,
    ) -> Result<(), ApiError> {
        if found.contains_key(member.name) {
            let message = format!("{} is given more than once", member.name);
            return Err(invalid(&message));
        }
        let shape = self.service.shape(member.shape).ok_or_else(|| {
            ApiError::internal(format!("The table has no shape {}", member.shape))
        })?;
        self.path.push(first_small(member.name));
        let value = match part {
            Part::Text(text) => self.scalar(shape, text)?,
            Part::Element(element) => self.value(shape, element)?,
        };
        self.path.pop();
        found.insert(member.name.to_owned(), value);
        Ok(())
    }

    /// The depth of the recursion is bounded by that of the document.
    fn value(&mut self, shape: &'static Shape, element: &Element) -> Result<Value, ApiError> {
        match &shape.kind {
            Kind::Structure(members) => {
                let mut found = BTreeMap::new();
                self.members(&mut found, members, element)?;
                self.check_required(&found, members)?;
                Ok(Value::Structure(found))
            }
            Kind::List(list) => {
                no_text(element)?;
                let wanted = list.wire.unwrap_or("member");
                let inner = self.service.shape(list.shape).ok_or_else(|| {
                    ApiError::internal(format!("The table has no shape {}", list.shape))
                })?;
                let mut elements = Vec::with_capacity(element.inner.len());
                for (index, child) in element.inner.iter().enumerate() {
                    if child.name != wanted {
                        return Err(unexpected("element", &child.name));
                    }
                    self.path.push((index + 1).to_string());
                    self.path.push("member".to_owned());
                    elements.push(self.value(inner, child)?);
                    self.path.truncate(self.path.len().saturating_sub(2));
                }
                decode::within_bounds(shape, decode::count(elements.len()))
                    .map_err(|fault| self.refused(None, &fault, "length"))?;
                Ok(Value::List(elements))
            }
            Kind::Map(_) => Err(ApiError::internal("Maps have no form in rest-xml here")),
            Kind::String(_)
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Boolean
            | Kind::Timestamp
            | Kind::Blob => {
                if let Some(child) = element.inner.first() {
                    return Err(unexpected("element", &child.name));
                }
                self.scalar(shape, &element.text)
            }
        }
    }

    /// The members that stand in the body.
    fn members(
        &mut self,
        found: &mut BTreeMap<String, Value>,
        members: &'static [Member],
        element: &Element,
    ) -> Result<(), ApiError> {
        no_text(element)?;
        for child in &element.inner {
            let member = placed(members, Place::Body, &child.name)
                .ok_or_else(|| unexpected("element", &child.name))?;
            self.put(found, member, &Part::Element(child))?;
        }
        Ok(())
    }

    fn check_required(
        &self,
        found: &BTreeMap<String, Value>,
        members: &[Member],
    ) -> Result<(), ApiError> {
        let missing = members
            .iter()
            .find(|member| member.required && !found.contains_key(member.name));
        missing.map_or(Ok(()), |member| {
            let mut path = self.path.clone();
            path.push(first_small(member.name));
            Err(constraint(None, &path.join("."), "not be null"))
        })
    }

    fn scalar(&self, shape: &'static Shape, text: &str) -> Result<Value, ApiError> {
        let measure = if matches!(shape.kind, Kind::String(_)) {
            "length"
        } else {
            "value"
        };
        decode::scalar(shape, text).map_err(|fault| self.refused(Some(text), &fault, measure))
    }

    fn refused(&self, text: Option<&str>, fault: &Fault, measure: &str) -> ApiError {
        let at = self.path.join(".");
        let must = match fault {
            Fault::Form(expected) => {
                let text = clip(text.unwrap_or_default());
                return broken(&format!("'{text}' at '{at}' is not {expected}"));
            }
            Fault::NotOneOf(values) => {
                format!("satisfy enum value set: [{}]", values.join(", "))
            }
            Fault::Below(min) => format!("have {measure} greater than or equal to {min}"),
            Fault::Above(max) => format!("have {measure} less than or equal to {max}"),
        };
        constraint(Some(text.unwrap_or_default()), &at, &must)
    }
}

/// Route 53's sentence for a value that the model does not allow.
fn constraint(text: Option<&str>, at: &str, must: &str) -> ApiError {
    let value = text.map_or("null".to_owned(), |text| format!("'{}'", clip(text)));
    invalid(&format!(
        "1 validation error detected: Value {value} at '{at}' failed to satisfy constraint: Member must {must}"
    ))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(INVALID, message)
}

fn broken(why: &str) -> ApiError {
    invalid(&format!("Invalid XML ; {}", clip(why)))
}

fn unexpected(what: &str, name: &str) -> ApiError {
    invalid(&format!("The {what} {} is not expected", clip(name)))
}

fn no_text(element: &Element) -> Result<(), ApiError> {
    if element.text.trim().is_empty() {
        return Ok(());
    }
    Err(broken(&format!(
        "the element {} must not have text",
        element.name
    )))
}

/// `ChangeBatch` as Amazon's messages have it: `changeBatch`.
fn first_small(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
