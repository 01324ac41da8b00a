//! The embedded store conforms.

use std::sync::Arc;

use store::conformance::{Reopen, all};
use store::{Sqlite, Store};

#[test]
fn sqlite_conforms() {
    all(|| {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let open = move || -> Box<dyn Store> { Box::new(Sqlite::open(dir.path()).unwrap()) };
        (open(), Box::new(open) as Reopen)
    });
}
