//! The store in SQLite: `tests/stores` runs the same on PostgreSQL.

use std::cell::RefCell;
use std::path::Path;

use store::{Store, StoreConfig, suite};

fn config(path: &Path) -> StoreConfig {
    StoreConfig {
        url: Some(format!("sqlite:{}", path.display())),
        ..StoreConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_a_store_must() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.db");
    let before: RefCell<Option<Store>> = RefCell::default();
    let empty = async || {
        // As it closes, the last connection deletes the log by its name: it must not be the next store's.
        let last = before.borrow_mut().take();
        if let Some(last) = last {
            last.close().await;
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(directory.path().join(format!("decisions.db{end}")));
        }
        let store = Store::open(&config(&path)).await.unwrap();
        before.replace(Some(store.clone()));
        store
    };
    suite::all(&config(&path), empty).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made_by_who_only_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none.db");
    let error = Store::open_existing(&config(&path)).await.unwrap_err();
    assert!(error.to_string().contains("none.db"), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_no_database_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.db");
    std::fs::write(&path, "this is no database ".repeat(1_000)).unwrap();
    let error = Store::open(&config(&path)).await.unwrap_err();
    assert!(error.to_string().contains("text.db"), "{error}");
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("this is")
    );
}

#[tokio::test]
async fn who_called_what_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.db");
    let store = Store::open(&config(&path)).await.unwrap();
    for end in ["", "-wal", "-shm"] {
        let file = directory.path().join(format!("decisions.db{end}"));
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{file:?}");
    }
    store.close().await;
}
