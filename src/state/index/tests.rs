// SPDX-License-Identifier: Apache-2.0
//! Lists through the index are those without it.

use std::fs;
use std::thread::sleep;

use super::super::list::Which;
use super::super::vms::tests::{finished, record, store};
use super::*;
use crate::state::{Claim, Dirs, ExitSummary, ImageSummary, Shelf, VmStore};

/// Two saves of a record that are further apart than this differ in their times.
const TICKS: Duration = Duration::from_millis(25);
/// VMs that are worth an index.
const SOME: usize = WORTH + 8;

/// When all that is there now is old.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(3600)
}

fn make(store: &VmStore, dirs: &Dirs, count: usize) -> Vec<Claim> {
    let one = |number: usize| {
        let mut record = record(dirs, &format!("vm{number}"));
        record.labels = [("number".to_owned(), number.to_string())].into();
        let mut claim = store.create(record).unwrap();
        finished(&mut claim);
        claim
    };
    (0..count).map(one).collect()
}

/// The same VMs, seen by someone who has no index.
fn without(dirs: &Dirs) -> VmStore {
    VmStore::new(&Dirs { cache: dirs.cache.join("none"), ..dirs.clone() })
}

/// What lists say, in words that can be compared.
fn all(store: &VmStore) -> Vec<String> {
    shown(store, Which::All)
}

fn shown(store: &VmStore, which: Which) -> Vec<String> {
    let mut shelf = Shelf::default();
    let listed = store.listed(which, later(), &mut shelf).unwrap();
    listed.iter().map(|vm| format!("{vm:?}")).collect()
}

fn peek(store: &VmStore) -> Vec<String> {
    store.peek(&mut Shelf::default()).iter().map(|vm| format!("{vm:?}")).collect()
}

fn peek_up(store: &VmStore) -> Vec<String> {
    store.peek_up(&mut Shelf::default()).iter().map(|vm| format!("{vm:?}")).collect()
}

fn assert_same(store: &VmStore, dirs: &Dirs) {
    let without = without(dirs);
    assert_eq!(peek(store), peek(&without));
    assert_eq!(peek_up(store), peek_up(&without));
    assert_eq!(shown(store, Which::Up), peek_up(&without));
    assert_eq!(all(store), peek(&without));
}

/// Changes what the index says of all, so that it shows where a list is from.
fn falsify(store: &VmStore) {
    let path = store.index_path();
    let bytes = load(&path);
    let mut index = Index::parse(&bytes, &store.dirs.vms());
    for entry in &mut index.entries {
        let mut summary: Summary = entry.summary().unwrap();
        summary.network = "indexed".into();
        *entry = Entry::of(&summary, entry.stamp).unwrap();
    }
    write(&path, &encode(&store.dirs.vms(), index.entries).unwrap()).unwrap();
}

fn indexed(store: &VmStore) -> usize {
    store.peek(&mut Shelf::default()).iter().filter(|vm| vm.vm.network == "indexed").count()
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let (_home, dirs, store) = store();
    let mut claims = make(&store, &dirs, SOME);
    // Nobody knows yet whether they will change within the tick.
    assert_eq!(store.list_shown(&mut Shelf::default()).unwrap().len(), SOME);
    assert!(!store.index_path().exists());
    assert_eq!(peek(&store).len(), SOME);
    assert!(!store.index_path().exists());
    let listed = all(&store);
    assert_eq!(listed, peek(&without(&dirs)));
    falsify(&store);
    assert_eq!(indexed(&store), SOME);

    // Of the same size, in the place of the old one, and in place.
    sleep(TICKS);
    let labels = &mut claims[0].record.labels;
    labels.insert("number".into(), "9".into());
    claims[0].save().unwrap();
    let path = store.record_path(&claims[1].record.id);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"none\"", "\"user\"")).unwrap();
    assert_eq!(indexed(&store), SOME - 2);
    let mut shelf = Shelf::default();
    let now = store.list_shown(&mut shelf).unwrap();
    let of = |at: usize| &now.iter().find(|l| l.vm.id == claims[at].record.id).unwrap().vm;
    assert_eq!(of(0).labels.get("number"), Some("9"));
    assert_eq!(of(1).network, "user");
    // Few: the index stays as it is.
    all(&store);
    assert_eq!(indexed(&store), SOME - 2);
    drop(claims);
    let found = store.find("vm7").unwrap();
    store.rename(&found, "site").unwrap();
    store.remove(&store.find("vm8").unwrap()).unwrap();
    assert_eq!(indexed(&store), SOME - 3);
    let mut shelf = Shelf::default();
    let now = store.list_shown(&mut shelf).unwrap();
    let named = |name: &str| now.iter().filter(|vm| vm.vm.name == name).count();
    assert_eq!((named("site"), named("vm7"), named("vm8"), named("vm9")), (1, 0, 0, 1));
}

#[test]
fn many_changes_make_a_new_index() {
    let (_home, dirs, store) = store();
    let mut claims = make(&store, &dirs, 2 * WORTH);
    all(&store);
    falsify(&store);
    sleep(TICKS);
    for claim in &mut claims[..WORTH] {
        claim.record.network = "user".into();
        claim.save().unwrap();
    }
    // Who only looks, changes nothing.
    assert_eq!(peek(&store).len(), 2 * WORTH);
    assert_eq!(indexed(&store), WORTH);
    assert_eq!(Index::parse(&load(&store.index_path()), &dirs.vms()).entries.len(), 2 * WORTH);
    all(&store);
    assert_eq!(indexed(&store), WORTH);
    falsify(&store);
    assert_eq!(indexed(&store), 2 * WORTH);
    for claim in claims.drain(..WORTH) {
        claim.remove().unwrap();
    }
    assert!(shown(&store, Which::Up).is_empty());
    let bytes = load(&store.index_path());
    assert_eq!(Index::parse(&bytes, &dirs.vms()).entries.len(), WORTH);
    assert_eq!(all(&store).len(), WORTH);
}

#[test]
fn what_is_no_index_is_none() {
    let (home, dirs, store) = store();
    let claims = make(&store, &dirs, SOME);
    let expected = all(&store);
    let path = store.index_path();
    let good = fs::read(&path).unwrap();
    let is_read = |bytes: &[u8]| !Index::parse(bytes, &dirs.vms()).entries.is_empty();
    assert!(is_read(&good));
    assert!(!is_read(b""));
    for end in (0..good.len()).step_by(97) {
        assert!(!is_read(&good[..end]), "{end}");
    }
    for at in (0..good.len()).step_by(31) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(!is_read(&bad), "{at}");
    }
    assert!(Index::parse(&good, home.path()).entries.is_empty(), "other VMs");
    // What has the right checksum, and is nonsense.
    let mut nonsense = good.clone();
    nonsense.truncate(MAGIC.len() + CHECKSUM);
    nonsense.extend([0xff; 100]);
    let checksum = crc32fast::hash(&nonsense[MAGIC.len() + CHECKSUM..]).to_le_bytes();
    nonsense[MAGIC.len()..MAGIC.len() + CHECKSUM].copy_from_slice(&checksum);
    assert!(!is_read(&nonsense));
    for bytes in [&good[..good.len() / 2], b"", &nonsense] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(peek(&store), expected);
        assert_eq!(all(&store), expected);
        assert_eq!(fs::read(&path).unwrap(), good, "it is made anew");
    }
    let huge = fs::File::options().write(true).open(&path).unwrap();
    huge.set_len(MAX_BYTES + 1).unwrap();
    assert_eq!(load(&path), b"");
    assert_eq!(all(&store), expected);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(all(&store), expected);
    drop(claims);
}

/// Root may write everywhere, but makes no directory of a file.
#[test]
fn where_no_index_can_be_written_there_is_none() {
    let (_home, dirs, store) = store();
    let claims = make(&store, &dirs, SOME);
    fs::write(&dirs.cache, "").unwrap();
    assert_eq!(all(&store).len(), SOME);
    assert_eq!(all(&store), peek(&without(&dirs)));
    assert_eq!(fs::read(&dirs.cache).unwrap(), b"");
    drop(claims);
}

#[test]
fn what_a_killed_writer_left_goes() {
    let (_home, dirs, store) = store();
    let claims = make(&store, &dirs, SOME);
    fs::create_dir(&dirs.cache).unwrap();
    let left = |pid: u32| dirs.cache.join(format!("{NAME}.{pid}.new"));
    for pid in [1, 2] {
        fs::write(left(pid), "").unwrap();
    }
    let old = SystemTime::now() - 2 * ABANDONED;
    fs::File::options().write(true).open(left(1)).unwrap().set_modified(old).unwrap();
    all(&store);
    assert!(!left(1).exists());
    assert!(left(2).exists(), "someone writes it just now");
    drop(claims);
}

/// Another encoding is another version.
#[test]
fn the_format_is_that_of_its_version() {
    let summary = Summary {
        schema: 1,
        id: "0a".into(),
        name: "web".into(),
        created_ms: 300,
        image: ImageSummary { reference: "r".into(), id: "i".into() },
        command: vec!["sh".into()],
        backend: "b".into(),
        vcpus: 2,
        memory_mib: 512,
        network: "n".into(),
        auto_remove: true,
        labels: serde_json::from_str("{\"k\":\"v\"}").unwrap(),
        phase: Phase::Exited,
        started_ms: Some(1),
        exit: Some(ExitSummary { code: 3, finished_ms: 4 }),
    };
    let text = "01023061 03776562 ac02 017201690102736801620280 04016e01 01016b0176 0401 01010304";
    let bytes = postcard::to_allocvec(&summary).unwrap();
    assert_eq!(hex::encode(&bytes), text.replace(' ', ""), "is it a new version?");
    assert_eq!(postcard::from_bytes::<Summary<&str>>(&bytes).unwrap(), summary.borrowed());
}

/// Whatever is done to VMs, in whatever order.
#[test]
fn lists_are_the_same_after_any_changes() {
    let (_home, dirs, store) = store();
    let mut claims = make(&store, &dirs, SOME);
    let mut state: u64 = 7;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % bound
    };
    let phases = [Phase::Created, Phase::Starting, Phase::Running, Phase::Exited, Phase::Dead];
    for round in 0..40 {
        for step in 0..1 + below(if round % 8 == 0 { 2 * WORTH } else { 6 }) {
            let at = below(claims.len().max(1));
            match below(8) {
                _ if claims.is_empty() => {}
                0..4 => {
                    let record = &mut claims[at].record;
                    record.phase = phases[below(phases.len())];
                    record.auto_remove = below(4) == 0;
                    record.labels.insert("step".into(), (step % 10).to_string());
                    claims[at].save().unwrap();
                }
                4 => claims.swap_remove(at).remove().unwrap(),
                5 => {
                    let found = store.read(&claims[at].record.id).unwrap();
                    let _ = store.rename(&found, &format!("name{}", below(100)));
                }
                // Its monitor is killed.
                6 => drop(claims.swap_remove(at)),
                _ => claims.push(store.create(record(&dirs, "")).unwrap()),
            }
        }
        assert_same(&store, &dirs);
        sleep(TICKS);
    }
    assert!(store.index_path().exists());
}
