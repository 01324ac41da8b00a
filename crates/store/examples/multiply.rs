//! Multiplies the one account of a state directory, for measurements: `multiply DIR ACCOUNTS`. Nobody may have the
//! store open. Every copy has identifiers, network numbers and Ethernet addresses of its own.
#![expect(clippy::print_stdout, reason = "a tool tells what it does")]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use store::{Sqlite, Store, Write};

/// How many accounts are written at once.
const TOGETHER: usize = 500;

/// A record's text with holes for what differs from copy to copy.
struct Template {
    kind: String,
    id: Vec<Piece>,
    body: Vec<Piece>,
}

enum Piece {
    Text(String),
    Account,
    /// One of the account's identifiers, without its prefix.
    Id(u64),
    Vni,
    /// The last four octets of one of the account's Ethernet addresses.
    Mac(u64),
}

/// What of the original is replaced.
#[derive(Default)]
struct Original {
    account: String,
    vni: String,
    ids: Vec<String>,
    macs: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(accounts)) = (args.next(), args.next()) else {
        return Err("usage: multiply DIR ACCOUNTS".into());
    };
    let accounts: u64 = accounts.parse()?;
    let store = Sqlite::open(Path::new(&dir))?;
    let loaded = store.load()?;
    let mut records = Vec::new();
    for record in &loaded.records {
        let body = String::from_utf8(record.body.clone())?;
        records.push((record.kind.clone(), record.id.clone(), body));
    }
    let original = Original::of(&records)?;
    let templates: Vec<Template> = records
        .iter()
        .map(|(kind, id, body)| Template {
            kind: kind.clone(),
            id: original.cut(id),
            body: original.cut(body),
        })
        .collect();
    let mut revision = loaded.revision;
    let mut copies = 1..accounts;
    while !copies.is_empty() {
        let mut writes = Vec::new();
        for copy in copies.by_ref().take(TOGETHER) {
            for template in &templates {
                writes.push(Write {
                    kind: template.kind.clone(),
                    id: fill(&template.id, copy)?,
                    body: Some(fill(&template.body, copy)?.into_bytes()),
                });
            }
        }
        revision = store.commit(revision, &writes)?;
        store.compact(revision + 1)?;
    }
    println!("{} records", accounts * templates.len() as u64);
    Ok(())
}

impl Original {
    fn of(records: &[(String, String, String)]) -> Result<Original, Box<dyn Error>> {
        let mut original = Original::default();
        for (kind, id, body) in records {
            if kind == "account" {
                id.split('/')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut original.account);
            }
            if let Some((_, rest)) = body.split_once("\"vni\":\"") {
                original.vni =
                    format!("\"vni\":\"{}\"", rest.split('"').next().unwrap_or_default());
            }
            if let Some((_, rest)) = body.split_once("\"mac\":\"") {
                let mac = rest.get(6..17).ok_or("a short Ethernet address")?;
                original.macs.push(mac.to_owned());
            }
            for word in body.split(|c: char| !c.is_ascii_hexdigit()) {
                if word.len() == 17 && !original.ids.iter().any(|known| known == word) {
                    original.ids.push(word.to_owned());
                }
            }
        }
        if original.account.is_empty() || original.vni.is_empty() {
            return Err("the directory has no account with a VPC".into());
        }
        Ok(original)
    }

    /// The text with holes.
    fn cut(&self, text: &str) -> Vec<Piece> {
        let number = |n: usize| n as u64;
        let ids = self.ids.iter().enumerate();
        let macs = self.macs.iter().enumerate();
        let mut holes: Vec<(usize, usize, Piece)> = Vec::new();
        let mut find = |what: &str, piece: &dyn Fn() -> Piece| {
            let found = text.match_indices(what);
            holes.extend(found.map(|(at, _)| (at, at + what.len(), piece())));
        };
        find(&self.account, &|| Piece::Account);
        find(&self.vni, &|| Piece::Vni);
        ids.for_each(|(n, id)| find(id, &|| Piece::Id(number(n))));
        macs.for_each(|(n, mac)| find(mac, &|| Piece::Mac(number(n))));
        holes.sort_by_key(|(from, ..)| *from);
        let mut pieces = Vec::new();
        let mut at = 0;
        for (from, to, piece) in holes {
            pieces.push(Piece::Text(
                text.get(at..from).unwrap_or_default().to_owned(),
            ));
            pieces.push(piece);
            at = to;
        }
        pieces.push(Piece::Text(text.get(at..).unwrap_or_default().to_owned()));
        pieces
    }
}

/// The text for a copy. Identifiers ascend with the copies, which only makes writing them faster.
fn fill(pieces: &[Piece], copy: u64) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Account => write!(text, "{copy:012}")?,
            Piece::Id(n) => {
                let scattered = (copy << 8 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
                write!(text, "{copy:07x}{scattered:010x}")?;
            }
            Piece::Vni => write!(text, "\"vni\":\"{}\"", copy + 1)?,
            Piece::Mac(n) => {
                let [.., a, b, c, d] = (copy << 8 | n).to_be_bytes();
                write!(text, "{a:02x}:{b:02x}:{c:02x}:{d:02x}")?;
            }
        }
    }
    Ok(text)
}
