//! DNS messages (RFC 1035), as far as a resolver that answers for names of a virtual network needs them: one question
//! comes in, one reply goes out.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Malformed;
use crate::bytes::Reader;

/// Record type of an IPv4 address.
pub const A: u16 = 1;
/// Record type of another name, of reverse look-ups.
pub const PTR: u16 = 12;
/// Record type of an IPv6 address (RFC 3596).
pub const AAAA: u16 = 28;
/// Any record type, in questions.
pub const ANY: u16 = 255;
/// Class of the internet.
const INTERNET: u16 = 1;
/// Record type of EDNS (RFC 6891).
const OPT: u16 = 41;

/// The longest label, and the longest name on the wire (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;
/// The largest reply without EDNS (RFC 1035 section 2.3.4), and what is announced with it (RFC 9715).
const MAX_REPLY: usize = 512;
const EDNS_SIZE: u16 = 1232;
const HEADER: usize = 12;

/// Bits of the second word: a response, its truncation, and what the client wishes.
const RESPONSE: u16 = 0x8000;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const CHECKING_DISABLED: u16 = 0x0010;
const OPCODE: u16 = 0x7800;

/// How a question ended (RFC 1035 section 4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The name exists; there may be no records of the type.
    NoError,
    /// The question cannot be read.
    FormatError,
    /// No such name.
    NameError,
    /// No such kind of question.
    NotImplemented,
    /// Nobody who could be asked.
    Refused,
}

impl Code {
    const fn bits(self) -> u16 {
        match self {
            Code::NoError => 0,
            Code::FormatError => 1,
            Code::NameError => 3,
            Code::NotImplemented => 4,
            Code::Refused => 5,
        }
    }
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A name, in text without the last dot.
    Ptr(String),
}

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    id: u16,
    flags: u16,
    /// The name in lower case, without the last dot. Only names of letters, digits, hyphens and underscores can be
    /// found; in others each strange byte is a `?`, which no name has.
    pub name: String,
    /// Record type.
    pub kind: u16,
    class: u16,
    /// The question as it came, to be repeated.
    bytes: Vec<u8>,
    has_edns: bool,
}

/// What came instead of a question that can be answered as such.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// Nobody is to be told: it is too short, or itself a reply.
    Silent,
    /// This reply goes back.
    Reply(Vec<u8>),
}

impl Question {
    /// Reads a message. The name of a question is not compressed: nothing stands before it.
    pub fn parse(bytes: &[u8]) -> Result<Question, Unreadable> {
        let silent = |_| Unreadable::Silent;
        let mut r = Reader::new(bytes, "dns");
        let id = r.u16().map_err(silent)?;
        let flags = r.u16().map_err(silent)?;
        let counts = [(); 4].map(|()| r.u16());
        let [Ok(questions), Ok(answers), Ok(authorities), Ok(additional)] = counts else {
            return Err(Unreadable::Silent);
        };
        if flags & RESPONSE != 0 {
            return Err(Unreadable::Silent);
        }
        let refusal = |code| Unreadable::Reply(header(id, flags, code, 0, 0, 0));
        if flags & OPCODE != 0 {
            return Err(refusal(Code::NotImplemented));
        }
        let unreadable = |_: Malformed| refusal(Code::FormatError);
        if questions != 1 || answers != 0 || authorities != 0 {
            return Err(refusal(Code::FormatError));
        }
        let (name, len) = name(&mut r).map_err(unreadable)?;
        let kind = r.u16().map_err(unreadable)?;
        let class = r.u16().map_err(unreadable)?;
        let question = bytes.get(HEADER..HEADER + len + 4);
        // EDNS is a record of the root, and the first one where it is alone (RFC 6891 section 6.1.1).
        let has_edns = additional != 0
            && r.u8().is_ok_and(|root| root == 0)
            && r.u16().is_ok_and(|kind| kind == OPT);
        Ok(Question {
            id,
            flags,
            name,
            kind,
            class,
            bytes: question.unwrap_or_default().to_vec(),
            has_edns,
        })
    }

    /// Whether it is about the internet, which is the only class that anybody has.
    #[must_use]
    pub const fn is_internet(&self) -> bool {
        self.class == INTERNET
    }

    /// The reply: records for the question's name, each with its time to live in seconds. If they do not fit into 512
    /// bytes, none is in it, and it says that it is truncated.
    #[must_use]
    pub fn reply(&self, code: Code, records: &[(u32, Data)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (ttl, data) in records {
            let (kind, data) = match data {
                Data::A(address) => (A, address.octets().to_vec()),
                Data::Aaaa(address) => (AAAA, address.octets().to_vec()),
                Data::Ptr(name) => (PTR, wire(name)),
            };
            // The name is the question's, behind the header (RFC 1035 section 4.1.4).
            body.extend([0xc0, 12]);
            body.extend(kind.to_be_bytes());
            body.extend(INTERNET.to_be_bytes());
            body.extend(ttl.to_be_bytes());
            body.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
            body.extend(data);
        }
        let mut edns = Vec::new();
        if self.has_edns {
            edns.push(0);
            edns.extend(OPT.to_be_bytes());
            edns.extend(EDNS_SIZE.to_be_bytes());
            edns.extend([0; 6]);
        }
        let fits = HEADER + self.bytes.len() + body.len() + edns.len() <= MAX_REPLY;
        let count = if fits {
            u16::try_from(records.len()).unwrap_or(0)
        } else {
            0
        };
        let flags = self.flags | AUTHORITATIVE | if fits { 0 } else { TRUNCATED };
        let mut out = header(self.id, flags, code, 1, count, u16::from(self.has_edns));
        out.extend(&self.bytes);
        if fits {
            out.extend(body);
        }
        out.extend(edns);
        out
    }
}

fn header(id: u16, flags: u16, code: Code, questions: u16, answers: u16, more: u16) -> Vec<u8> {
    let kept = AUTHORITATIVE | TRUNCATED | RECURSION_DESIRED | CHECKING_DISABLED | OPCODE;
    let flags = (flags & kept) | RESPONSE | RECURSION_AVAILABLE | code.bits();
    let words = [id, flags, questions, answers, 0, more];
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A name and its length on the wire.
fn name(r: &mut Reader<'_>) -> Result<(String, usize), Malformed> {
    let mut labels: Vec<String> = Vec::new();
    let mut len = 1;
    loop {
        let label = usize::from(r.u8()?);
        if label == 0 {
            return Ok((labels.join("."), len));
        }
        len += label + 1;
        if label > MAX_LABEL || len > MAX_NAME {
            return Err(r.field());
        }
        let readable = |byte: &u8| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(*byte),
            b'A'..=b'Z' => char::from(byte.to_ascii_lowercase()),
            _ => '?',
        };
        labels.push(r.take(label)?.iter().map(readable).collect());
    }
}

/// A name on the wire. What is no name becomes the root.
fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let Some(len) = u8::try_from(label.len())
            .ok()
            .filter(|len| (1..=MAX_LABEL).contains(&usize::from(*len)))
        else {
            return vec![0];
        };
        out.push(len);
        out.extend(label.bytes());
    }
    out.push(0);
    if out.len() > MAX_NAME { vec![0] } else { out }
}
