//! Who may speak with whom.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use link::{Authority, Key, NAME, ServerName, TlsAcceptor, TlsConnector, Token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HOUR: Duration = Duration::from_secs(3600);

struct Region {
    _dir: tempfile::TempDir,
    authority: Arc<Authority>,
    acceptor: TlsAcceptor,
}

fn region() -> Region {
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(dir.path(), SystemTime::now()).unwrap());
    let acceptor = link::acceptor(&authority).unwrap();
    Region {
        _dir: dir,
        authority,
        acceptor,
    }
}

/// Whether a connection comes about, and the fingerprint of the certificate that the client showed.
fn meet(acceptor: &TlsAcceptor, connector: &TlsConnector) -> Option<Option<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let server = async {
            let mut stream = acceptor.accept(far).await.ok()?;
            stream.write_all(b"hello").await.ok()?;
            let shown = stream.get_ref().1.peer_certificates();
            Some(
                shown
                    .and_then(<[_]>::first)
                    .map(|leaf| link::fingerprint(leaf)),
            )
        };
        let client = async {
            let name = ServerName::try_from(NAME).unwrap();
            let mut stream = connector.connect(name, near).await.ok()?;
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.ok()
        };
        let (server, client) = tokio::join!(server, client);
        client.and(server)
    })
}

fn host(region: &Region, from: SystemTime, life: Duration) -> (TlsConnector, String) {
    let key = Key::new().unwrap();
    let leaf = region
        .authority
        .sign_host("host-1", &key.public(), from, life)
        .unwrap();
    let connector = link::connector(&region.authority.certificate(), &leaf, &key).unwrap();
    (connector, link::fingerprint(&leaf))
}

#[test]
fn a_host_and_its_controller_know_each_other() {
    let region = region();
    let (connector, print) = host(&region, SystemTime::now(), HOUR);
    assert_eq!(meet(&region.acceptor, &connector), Some(Some(print)));
}

#[test]
fn certificates_of_another_region_and_of_another_time_are_refused() {
    let (here, there) = (region(), region());
    let (stranger, _) = host(&there, SystemTime::now(), HOUR);
    assert_eq!(meet(&here.acceptor, &stranger), None);
    // It trusts this region, but was certified by another.
    let key = Key::new().unwrap();
    let leaf = there
        .authority
        .sign_host("host-1", &key.public(), SystemTime::now(), HOUR)
        .unwrap();
    let forged = link::connector(&here.authority.certificate(), &leaf, &key).unwrap();
    assert_eq!(meet(&here.acceptor, &forged), None);
    let (expired, _) = host(&here, SystemTime::now() - 2 * HOUR, HOUR);
    assert_eq!(meet(&here.acceptor, &expired), None);
    // A host's certificate makes no controller.
    let (early, _) = host(&here, SystemTime::now() + 2 * HOUR, HOUR);
    assert_eq!(meet(&here.acceptor, &early), None);
}

#[test]
fn a_token_leads_to_its_own_controller_only() {
    let (here, there) = (region(), region());
    let token = Token::new(here.authority.fingerprint()).unwrap();
    let (connector, pinned) = link::joiner(token.authority()).unwrap();
    assert_eq!(meet(&there.acceptor, &connector), None);
    assert_eq!(pinned.authority(), None);
    assert_eq!(meet(&here.acceptor, &connector), Some(None));
    assert_eq!(
        pinned.authority().as_deref(),
        Some(&*here.authority.certificate())
    );
}
