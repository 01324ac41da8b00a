//! The embedded store: SQLite in WAL mode, one file in the state directory.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use tokio::sync::watch;

use crate::{Change, Error, OpenError, Revision, Store, Write};

/// A store in a directory of this machine, for one process.
pub struct Sqlite {
    connection: Mutex<Connection>,
    revision: watch::Sender<Revision>,
    /// Locked as long as the store is open.
    _lock: File,
}

/// The version of the schema below. A change of it needs a step from the one before in [`migrate`].
const FORMAT: i64 = 1;
/// "pold": tells our databases from others (SQLite `PRAGMA application_id`).
const APPLICATION: i64 = 0x706f_6c64;
/// Commits whose changes are kept; older ones are forgotten, some at a time. Readers that are further behind load
/// everything.
const KEPT: Revision = 65_536;
/// How many commits pass between two times of forgetting: few, because the commit that forgets takes longer.
const FORGET_EVERY: Revision = 64;

/// How many pages of 4 KiB the log gets before they go into the database: a commit that takes them there waits for the
/// disk twice more, so fewer than one of a hundred should.
const CHECKPOINT: u32 = 8192;

/// The largest database, in bytes, that is checked as a whole when it opens. In a larger one only damage in what is
/// read is found, and all records are read.
const MOST_CHECKED: u64 = 64 << 20;

/// SQLite's shared index grows by so many bytes at once, more than its other files.
const LEAST_ROOM: u64 = 32_768;

/// The file is there; its name is a path and no URI; the connection has a lock of ours.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

const SCHEMA: &str = "
    CREATE TABLE record (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id));
    CREATE TABLE change (
        revision INTEGER NOT NULL,
        place INTEGER NOT NULL,
        kind TEXT NOT NULL,
        id TEXT NOT NULL,
        body BLOB,
        PRIMARY KEY (revision, place)
    );
    CREATE TABLE feed (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL, forgotten INTEGER NOT NULL);
    INSERT INTO feed VALUES (1, 0, 0);
";

impl Sqlite {
    /// Opens the store in this directory, which comes into being (mode 0700, files 0600) if it is not there.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, a newer version wrote it, it is damaged, or the file system refuses.
    pub fn open(dir: &Path) -> Result<Sqlite, OpenError> {
        make_dir(dir)?;
        let lock = lock(dir)?;
        let path = dir.join("state.db");
        // SQLite would make it with the modes of the umask; its other files take the modes of this one.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| storage("open", &path, e))?;
        let mut connection =
            Connection::open_with_flags(&path, FLAGS).map_err(|e| unusable("open", &path, e))?;
        let format = inspect(&connection, dir, &path)?;
        prepare(&connection).map_err(|e| unusable("set up", &path, e))?;
        migrate(&mut connection, format).map_err(|e| unusable("set up", &path, e))?;
        let revision = revision(&connection).map_err(|e| unusable("read", &path, e))?;
        Ok(Sqlite {
            connection: Mutex::new(connection),
            revision: watch::Sender::new(revision),
            _lock: lock,
        })
    }

    /// A panic in another call rolled its transaction back: the connection is as good as before.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Sqlite {
    fn scan(&self, each: &mut dyn FnMut(&str, &str, &[u8])) -> Result<Revision, Error> {
        let mut connection = self.connection();
        read(&mut connection, each).map_err(|e| failed("read its records", e))
    }

    fn commit_many(&self, expected: Revision, commits: &[&[Write]]) -> Result<Revision, Error> {
        let mut connection = self.connection();
        let outcome = write(&mut connection, expected, commits);
        let outcome = outcome.map_err(|e| failed("write a commit", e))?;
        let revision = outcome.map_err(|current| Error::Conflict { current })?;
        // Under the connection's lock, so that the revisions come in order.
        self.revision
            .send_if_modified(|known| std::mem::replace(known, revision) != revision);
        Ok(revision)
    }

    fn changes(&self, after: Revision, limit: usize) -> Result<Vec<Change>, Error> {
        let mut connection = self.connection();
        let outcome = follow(&mut connection, after, limit);
        let outcome = outcome.map_err(|e| failed("read its feed", e))?;
        outcome.map_err(|forgotten| Error::Compacted { forgotten })
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    fn compact(&self, before: Revision) -> Result<(), Error> {
        let mut connection = self.connection();
        let last = before.saturating_sub(1);
        let mut act = || {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            forget(&tx, last.min(revision(&tx)?))?;
            tx.commit()
        };
        act().map_err(|e| failed("compact its feed", e))
    }
}

fn read(
    connection: &mut Connection,
    each: &mut dyn FnMut(&str, &str, &[u8]),
) -> rusqlite::Result<Revision> {
    let tx = connection.transaction()?;
    let revision = revision(&tx)?;
    // In the order of the file: any other would read it here and there.
    let mut select = tx.prepare_cached("SELECT kind, id, body FROM record NOT INDEXED")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        each(kind, id, row.get_ref(2)?.as_blob()?);
    }
    Ok(revision)
}

/// The new revision, or else the current one, which is not the expected one.
fn write(
    connection: &mut Connection,
    expected: Revision,
    commits: &[&[Write]],
) -> rusqlite::Result<Result<Revision, Revision>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let current = revision(&tx)?;
    if current != expected {
        return Ok(Err(current));
    }
    let mut last = current;
    {
        let mut put = tx.prepare_cached(
            "INSERT INTO record VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = excluded.body",
        )?;
        let mut delete = tx.prepare_cached("DELETE FROM record WHERE kind = ?1 AND id = ?2")?;
        let mut append = tx.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for writes in commits.iter().filter(|writes| !writes.is_empty()) {
            last += 1;
            for (place, write) in (0_i64..).zip(*writes) {
                match &write.body {
                    Some(body) => put.execute(params![write.kind, write.id, body])?,
                    None => delete.execute(params![write.kind, write.id])?,
                };
                append.execute(params![
                    signed(last),
                    place,
                    write.kind,
                    write.id,
                    write.body
                ])?;
            }
        }
    }
    if last == current {
        return Ok(Ok(current));
    }
    tx.prepare_cached("UPDATE feed SET revision = ?1")?
        .execute([signed(last)])?;
    if last / FORGET_EVERY != current / FORGET_EVERY {
        forget(&tx, last.saturating_sub(KEPT))?;
    }
    tx.commit()?;
    Ok(Ok(last))
}

/// The changes, or else the last revision that is forgotten.
fn follow(
    connection: &mut Connection,
    after: Revision,
    limit: usize,
) -> rusqlite::Result<Result<Vec<Change>, Revision>> {
    let tx = connection.transaction()?;
    let forgotten: i64 = tx.query_row("SELECT forgotten FROM feed", [], |row| row.get(0))?;
    let forgotten = unsigned(forgotten);
    if after < forgotten {
        return Ok(Err(forgotten));
    }
    let mut select = tx.prepare_cached(
        "SELECT revision, kind, id, body FROM change WHERE revision > ?1 ORDER BY revision, place",
    )?;
    let mut rows = select.query([signed(after)])?;
    let mut changes: Vec<Change> = Vec::new();
    // Where the last commit that is whole ends.
    let mut whole = 0;
    while let Some(row) = rows.next()? {
        let revision = unsigned(row.get(0)?);
        if changes.last().is_some_and(|last| last.revision != revision) {
            whole = changes.len();
        }
        if changes.len() >= limit && whole > 0 {
            changes.truncate(whole);
            break;
        }
        changes.push(Change {
            revision,
            kind: row.get(1)?,
            id: row.get(2)?,
            body: row.get(3)?,
        });
    }
    Ok(Ok(changes))
}

/// Forgets the changes up to a revision, which is not over the current one.
fn forget(tx: &Transaction<'_>, last: Revision) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM change WHERE revision <= ?1")?
        .execute([signed(last)])?;
    tx.prepare_cached("UPDATE feed SET forgotten = max(forgotten, ?1)")?
        .execute([signed(last)])?;
    Ok(())
}

fn revision(connection: &Connection) -> rusqlite::Result<Revision> {
    let revision: i64 = connection
        .prepare_cached("SELECT revision FROM feed")?
        .query_row([], |row| row.get(0))?;
    Ok(unsigned(revision))
}

/// SQLite's integers are signed. Nobody commits so often that it matters.
fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Revision {
    Revision::try_from(number).unwrap_or(0)
}

fn make_dir(dir: &Path) -> Result<(), OpenError> {
    if dir.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| storage("create", dir, e))?;
    // The directory's own name must survive a loss of power as well.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|p| p.sync_all())
        .map_err(|e| storage("sync", parent, e))
}

/// Takes the directory for this process. The lock goes with the process, however that ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| storage("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Bounded: the file is ours, but who knows what is in it.
            let pid = (&file).take(32).read_to_string(&mut text).ok();
            let pid = pid.and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse {
                dir: dir.display().to_string(),
                pid,
            });
        }
        Err(TryLockError::Error(e)) => return Err(storage("lock", &path, e)),
    }
    let mut note = || {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())
    };
    note().map_err(|e| storage("write", &path, e))?;
    Ok(file)
}

/// The version of the database's format, 0 for a new one. Nothing is written.
fn inspect(connection: &Connection, dir: &Path, path: &Path) -> Result<i64, OpenError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let format: i64 = number("user_version").map_err(|e| unusable("read", path, e))?;
    let application: i64 = number("application_id").map_err(|e| unusable("read", path, e))?;
    let is_new: bool = connection
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get(0)
        })
        .map_err(|e| unusable("read", path, e))?;
    if application != APPLICATION && !(is_new && application == 0) {
        return Err(OpenError::Foreign {
            file: path.display().to_string(),
        });
    }
    if format > FORMAT {
        let dir = dir.display().to_string();
        return Err(OpenError::Newer {
            dir,
            found: format,
            known: FORMAT,
        });
    }
    let size = fs::metadata(path).map_or(0, |file| file.len());
    if size > MOST_CHECKED {
        return Ok(format);
    }
    let found: Option<String> = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .optional()
        .map_err(|e| unusable("check", path, e))?;
    match found {
        Some(verdict) if verdict != "ok" => Err(OpenError::Damaged {
            file: path.display().to_string(),
            why: verdict,
        }),
        Some(_) | None => Ok(format),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Somebody may look into the file with sqlite3 meanwhile.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL syncs the log at every commit; WAL's usual NORMAL would lose the last ones with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(())
}

fn migrate(connection: &mut Connection, format: i64) -> rusqlite::Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(SCHEMA)?;
    tx.pragma_update(None, "application_id", APPLICATION)?;
    tx.pragma_update(None, "user_version", FORMAT)?;
    tx.commit()
}

fn failed(action: &'static str, source: rusqlite::Error) -> Error {
    Error::Storage {
        action,
        source: Box::new(source),
    }
}

fn storage(
    action: &'static str,
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> OpenError {
    OpenError::Storage {
        action,
        path: path.display().to_string(),
        source: source.into(),
    }
}

/// What SQLite says when a database does not open: damage has an error of its own.
fn unusable(action: &'static str, path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Damaged {
            file: path.display().to_string(),
            why: source.to_string(),
        },
        // Of its own files that stand in memory, SQLite says only that they fail.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) if is_full(path) => {
            OpenError::Full {
                path: path.display().to_string(),
            }
        }
        _ => storage(action, path, source),
    }
}

/// Whether its file system has room for no more of SQLite's files.
fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < LEAST_ROOM)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn one(id: &str) -> [Write; 1] {
        [Write {
            kind: "k".to_owned(),
            id: id.to_owned(),
            body: Some(b"body".to_vec()),
        }]
    }

    #[test]
    fn another_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path()).unwrap();
        let error = Sqlite::open(dir.path()).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "state directory `{}` is in use by another polder (process {})",
                dir.path().display(),
                std::process::id()
            )
        );
        drop(store);
        Sqlite::open(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        Sqlite::open(dir.path())
            .unwrap()
            .commit(0, &one("a"))
            .unwrap();
        let connection = Connection::open(dir.path().join("state.db")).unwrap();
        connection
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
        drop(connection);
        let error = Sqlite::open(dir.path()).err().unwrap();
        assert!(matches!(error, OpenError::Newer { .. }), "{error}");
        assert!(
            error.to_string().contains("was written by a newer version"),
            "{error}"
        );
        let connection = Connection::open(dir.path().join("state.db")).unwrap();
        connection
            .pragma_update(None, "user_version", FORMAT)
            .unwrap();
        drop(connection);
        assert_eq!(
            Sqlite::open(dir.path())
                .unwrap()
                .load()
                .unwrap()
                .records
                .len(),
            1
        );
    }

    #[test]
    fn damage_and_strangers_have_clear_errors() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("state.db"),
            "no database, but long enough to be looked at".repeat(50),
        )
        .unwrap();
        let error = Sqlite::open(dir.path()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("state.db")).unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        drop(connection);
        let error = Sqlite::open(dir.path()).err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path()).unwrap();
        for revision in 0..200 {
            store
                .commit(revision, &one(&format!("{revision:0500}")))
                .unwrap();
        }
        drop(store);
        let file = dir.path().join("state.db");
        let mut octets = fs::read(&file).unwrap();
        let (from, to) = (octets.len() / 3, octets.len() / 3 + 20_000);
        octets[from..to].fill(0x5a);
        fs::write(&file, octets).unwrap();
        let error = Sqlite::open(dir.path()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");

        let error = Sqlite::open(Path::new("/proc/none/here")).err().unwrap();
        assert!(matches!(error, OpenError::Storage { .. }), "{error}");
    }

    #[test]
    fn files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let store = Sqlite::open(&inner).unwrap();
        store.commit(0, &one("a")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&inner), 0o700);
        let mut files: Vec<_> = fs::read_dir(&inner)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn old_changes_are_forgotten_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path()).unwrap();
        // As if so many commits had been.
        store
            .connection()
            .execute(
                "UPDATE feed SET revision = ?1",
                [signed(KEPT + FORGET_EVERY - 1)],
            )
            .unwrap();
        store.commit(KEPT + FORGET_EVERY - 1, &one("a")).unwrap();
        assert!(matches!(
            store.changes(0, 10),
            Err(Error::Compacted {
                forgotten: FORGET_EVERY
            })
        ));
        assert_eq!(store.changes(FORGET_EVERY, 10).unwrap().len(), 1);
    }
}
