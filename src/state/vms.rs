// SPDX-License-Identifier: Apache-2.0
//! The directory of VMs. A VM is alive as long as someone holds its lock: its
//! maker first, then its monitor, which inherits the lock. What a killed
//! process left half-made is recognised by its free lock and taken away.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use super::rename::renamed;
use super::{
    Dirs, Durability, Phase, Record, SCHEMA, make_private_dir, random_name, replace_file_with,
};
use crate::error::{Failure, Result};
use crate::similar;
use crate::sys::{self, Folder};

const RECORD: &str = "vm.json";
const LOCK: &str = "lock";
/// A record is a few KiB; more is not ours.
const MAX_RECORD: u64 = 64 << 20;
/// What most take.
const USUAL_RECORD: usize = 4096;
/// Shortest ID prefix that names a VM.
const MIN_PREFIX: usize = 3;

pub struct VmStore {
    pub(super) dirs: Dirs,
}

/// A VM that this process holds the lock of.
#[derive(Debug)]
pub struct Claim {
    pub record: Record,
    directory: PathBuf,
    lock: File,
}

/// A VM as found on disk; `alive` is what its lock says.
#[derive(Clone, Debug)]
pub struct Found {
    pub record: Record,
    pub alive: bool,
}

impl Found {
    /// Whether it has a monitor, or is about to. Else who holds it, if someone does, works in
    /// one that does not run, as `mvm cp` does.
    pub fn runs(&self) -> bool {
        self.alive && !matches!(self.record.phase, Phase::Created | Phase::Exited | Phase::Dead)
    }

    /// The phase that is true now, whatever a dead monitor wrote.
    pub fn phase(&self) -> Phase {
        match self.record.phase {
            Phase::Creating | Phase::Starting | Phase::Running if !self.alive => Phase::Dead,
            phase => phase,
        }
    }
}

impl VmStore {
    pub fn new(dirs: &Dirs) -> Self {
        Self { dirs: dirs.clone() }
    }

    /// Reserves ID and name, makes the VM's directory and writes its first
    /// record. An empty `record.name` gets a random one.
    pub fn create(&self, mut record: Record) -> Result<Claim> {
        make_private_dir(&self.names()).map_err(|e| self.unwritable(e))?;
        let _commit = self.commit_lock()?;
        let directory = self.dirs.vm(&record.id);
        make_private_dir(&directory).map_err(|e| self.unwritable(e))?;
        let claim = self.reserve_name(&mut record).and_then(|()| {
            let lock = open_lock(&directory).map_err(|e| self.unwritable(e))?;
            if !take(&lock) {
                return Err(Failure::new("someone else holds the lock of a new VM"));
            }
            let claim = Claim { record, directory: directory.clone(), lock };
            claim.save().map(|()| claim)
        });
        if claim.is_err() {
            let _ = fs::remove_dir_all(&directory);
        }
        claim
    }

    fn reserve_name(&self, record: &mut Record) -> Result<()> {
        let durability = record.durability();
        if !record.name.is_empty() {
            return match self.try_name(&record.name, &record.id, durability)? {
                None => Ok(()),
                Some(owner) => Err(name_in_use(&record.name, &owner)),
            };
        }
        for attempt in 0..100 {
            let name = random_name(attempt)?;
            if self.try_name(&name, &record.id, durability)?.is_none() {
                record.name = name;
                return Ok(());
            }
        }
        Err(Failure::new("found no free name").hint("choose one with --name"))
    }

    /// Takes a name for `id`; `Some(owner)` when a VM that exists has it. Call
    /// under the commit lock.
    pub(super) fn try_name(
        &self,
        name: &str,
        id: &str,
        durability: Durability,
    ) -> Result<Option<String>> {
        let path = self.names().join(name);
        if let Some(owner) = read_small(&path)
            && self.dirs.vm(&owner).join(RECORD).exists()
        {
            let found = self.read(&owner)?;
            match self.is_garbage(&found) {
                true => self.remove_files(&owner, Some(&found.record))?,
                false if found.record.name == name => return Ok(Some(owner)),
                // It has another name by now.
                false => {}
            }
        }
        replace_file_with(&path, id.as_bytes(), durability).map_err(|e| self.unwritable(e))?;
        Ok(None)
    }

    /// Finds VMs by exact ID, name, or unique ID prefix; duplicates dropped,
    /// order kept. One result, with its word, for each that repeats no earlier VM.
    pub fn resolve(&self, words: &[String]) -> Vec<Result<(String, Found)>> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for word in words {
            match self.find(word) {
                Ok(vm) if !seen.insert(vm.record.id.clone()) => {}
                other => found.push(other.map(|vm| (word.clone(), vm))),
            }
        }
        found
    }

    /// Refuses a name that a VM has; the word that counts is `create`'s.
    pub fn check_name_is_free(&self, name: &str) -> Result<()> {
        match self.by_name(name).map(|id| self.read(&id)) {
            Some(Ok(found)) if !self.is_garbage(&found) => Err(name_in_use(name, &found.record.id)),
            _ => Ok(()),
        }
    }

    /// Whether someone holds the VM's lock.
    pub fn is_alive(&self, id: &str) -> bool {
        is_locked(&self.dirs.vm(id))
    }

    pub fn find(&self, word: &str) -> Result<Found> {
        self.look_up(word)?.ok_or_else(|| {
            let near = similar::did_you_mean(word, self.known_names());
            Failure::new(format!("no such VM: {word}"))
                .hint(near.unwrap_or_else(|| "mvm ps -a lists the VMs there are".into()))
        })
    }

    /// As `find`, where there need not be one.
    pub fn look_up(&self, word: &str) -> Result<Option<Found>> {
        // Docker shows names with a slash, and takes them so.
        let word = word.strip_prefix('/').unwrap_or(word);
        let id = if is_id(word) && self.dirs.vm(word).join(RECORD).exists() {
            Some(word.to_owned())
        } else if let Some(id) = self.by_name(word) {
            Some(id)
        } else {
            self.by_prefix(word)?
        };
        let Some(id) = id else { return Ok(None) };
        let found = match self.read(&id) {
            Ok(found) => found,
            // It was removed since it was found.
            Err(_) if !self.record_path(&id).exists() => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.is_garbage(&found) {
            let _ = self.remove_files(&id, Some(&found.record));
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn by_name(&self, name: &str) -> Option<String> {
        super::validate_name(name).ok()?;
        let id = read_small(&self.names().join(name))?;
        let other_name = |found: Found| found.record.name != name;
        let exists = is_id(&id) && self.record_path(&id).exists();
        (exists && !self.read(&id).is_ok_and(other_name)).then_some(id)
    }

    fn by_prefix(&self, prefix: &str) -> Result<Option<String>> {
        if prefix.len() < MIN_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut matching = self.ids()?.into_iter().filter(|id| id.starts_with(prefix));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => {
                Err(Failure::new(format!("{prefix} is the start of several IDs"))
                    .hint("give more of the ID, or the name"))
            }
            (one, _) => Ok(one),
        }
    }

    /// Removes a VM that nobody holds. The lock is taken first, so that a VM
    /// that starts meanwhile is never pulled from under its monitor.
    pub fn remove(&self, found: &Found) -> Result<()> {
        let id = &found.record.id;
        let lock = match open_present_lock(&self.dirs.vm(id)) {
            Ok(lock) => lock,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return self.remove_files(id, Some(&found.record));
            }
            Err(e) => return Err(self.unwritable(e)),
        };
        match take(&lock) {
            true => self.remove_files(id, Some(&found.record)),
            false if !self.read(id).is_ok_and(|now| now.runs()) => {
                Err(Failure::new(format!("VM {} is in use", found.record.name))
                    .hint("mvm cp, or another command, works in it; try again later"))
            }
            false => Err(Failure::new(format!("VM {} is running", found.record.name))
                .hint(format!("mvm rm -f {}", found.record.name))),
        }
    }

    /// Takes a VM that nobody holds, to start it. `None` when someone has it:
    /// it runs, or is about to, or is being removed.
    pub fn claim(&self, id: &str) -> Result<Option<Claim>> {
        let directory = self.dirs.vm(id);
        let gone = || Failure::new(format!("VM {} was removed meanwhile", &id[..id.len().min(12)]));
        let lock = match open_present_lock(&directory) {
            Ok(lock) => lock,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(gone()),
            Err(e) => return Err(self.unwritable(e)),
        };
        if !take(&lock) {
            return Ok(None);
        }
        // Whoever removed it held the lock until the record was gone.
        match directory.join(RECORD).exists() {
            true => Claim::inherit(&self.dirs, id, lock).map(Some),
            false => Err(gone()),
        }
    }

    /// A lone VM as it is now.
    pub fn read(&self, id: &str) -> Result<Found> {
        let directory = self.dirs.vm(id);
        let record = record_of(&self.dirs, id)?;
        if record.id != id {
            return Err(other_vm(id));
        }
        Ok(Found { record, alive: is_locked(&directory) })
    }

    /// Made half and given up, or asked to vanish and its monitor died.
    pub(super) fn is_garbage(&self, found: &Found) -> bool {
        !found.alive
            && match found.record.phase {
                Phase::Creating => true,
                Phase::Created => false,
                _ => found.record.auto_remove,
            }
    }

    /// The record goes last but one and the name before it: whatever is left
    /// by a kill in between is garbage to the next `list`.
    pub(super) fn remove_files(&self, id: &str, record: Option<&Record>) -> Result<()> {
        let failed = |e: io::Error| Failure::cannot(format!("remove VM {id}"), e);
        if let Some(record) = record {
            self.forget_names(id, &record.name);
            ignore_missing(fs::remove_dir_all(record.dirs.vm_runtime(id))).map_err(failed)?;
        }
        let directory = self.dirs.vm(id);
        ignore_missing(fs::remove_file(directory.join(RECORD))).map_err(failed)?;
        ignore_missing(fs::remove_dir_all(&directory)).map_err(failed)
    }

    /// Takes away the sockets of a dead VM, unless someone starts it just now.
    pub(super) fn tidy(&self, dead: &Found) {
        let sockets = dead.record.dirs.vm_runtime(&dead.record.id);
        if sockets.exists()
            && let Ok(lock) = open_present_lock(&self.dirs.vm(&dead.record.id))
            && FileExt::try_lock(&lock).is_ok()
        {
            let _ = fs::remove_dir_all(sockets);
        }
    }

    /// A directory with no record: its maker was killed, unless it is at it.
    pub(super) fn sweep_recordless(&self, id: &str) {
        if let Ok(_commit) = self.commit_lock()
            && !is_locked(&self.dirs.vm(id))
            && !self.has_record(id)
        {
            let _ = self.remove_files(id, None);
        }
    }

    /// An empty record is what a power cut may leave of one that was not synced.
    pub(super) fn has_record(&self, id: &str) -> bool {
        fs::metadata(self.dirs.vm(id).join(RECORD)).is_ok_and(|record| record.len() > 0)
    }

    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.dirs.vms()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::cannot("read the directory of VMs", e)),
        };
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        Ok(names.filter(|n| is_id(n)).collect())
    }

    pub(super) fn record_path(&self, id: &str) -> PathBuf {
        self.dirs.vm(id).join(RECORD)
    }

    pub(super) fn runtime(&self) -> &Path {
        &self.dirs.runtime
    }

    pub(super) fn names(&self) -> PathBuf {
        self.dirs.vms().join("names")
    }

    /// Held for a commit only, never across work.
    pub(super) fn commit_lock(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        sys::owner_only(&mut options);
        let lock = options.open(self.dirs.vms().join(LOCK)).map_err(|e| self.unwritable(e))?;
        FileExt::lock(&lock).map_err(|e| Failure::cannot("lock the directory of VMs", e))?;
        Ok(lock)
    }

    pub(super) fn unwritable(&self, error: io::Error) -> Failure {
        let failure = Failure::cannot(format!("write to {}", self.dirs.vms().display()), &error);
        match error.kind() {
            ErrorKind::StorageFull => failure.hint("free some space there"),
            _ => failure.hint("is it yours and writable? MVM_HOME moves everything elsewhere"),
        }
    }
}

impl Claim {
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Commits the record as it is now.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.record)
            .map_err(|e| Failure::cannot("write a record", e))?;
        let path = self.directory.join(RECORD);
        replace_file_with(&path, &text, self.record.durability())
            .map_err(|e| Failure::cannot(format!("write {}", path.display()), e))
    }

    /// The lock, for the monitor to inherit.
    pub fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// What the monitor does with the lock that it inherited.
    pub fn inherit(dirs: &Dirs, id: &str, lock: File) -> Result<Self> {
        let directory = dirs.vm(id);
        let record = record_of(dirs, id)?;
        Ok(Self { record, directory, lock })
    }

    /// Removes the VM, its lock last.
    pub fn remove(self) -> Result<()> {
        VmStore::new(&self.record.dirs).remove_files(&self.record.id, Some(&self.record))
    }
}

pub(super) fn name_in_use(name: &str, owner: &str) -> Failure {
    let owner = &owner[..owner.len().min(12)];
    Failure::new(format!("the name {name:?} is in use by VM {owner}"))
        .hint(format!("mvm rm {name}, or choose another --name"))
}

pub(super) fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn open_lock(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    sys::owner_only(&mut options);
    options.open(directory.join(LOCK))
}

/// A lock that is there: to make one would bring a removed VM's directory back.
fn open_present_lock(directory: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(directory.join(LOCK))
}

/// Takes a VM's lock. Who only looks whether it is held (`is_locked`) has it for
/// an instant, too, which is no reason to fail.
fn take(lock: &File) -> bool {
    const LOOKS: u32 = 20;
    const LOOK: Duration = Duration::from_millis(2);
    for _ in 0..LOOKS {
        if FileExt::try_lock(lock).is_ok() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

/// Whether a process holds the VM's lock.
fn is_locked(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| is_held(&lock))
}

/// As `is_locked`, of the VM with this ID in the directory of all.
pub(super) fn is_locked_in(vms: &Folder, id: &str) -> bool {
    vms.file(&format!("{id}/{LOCK}")).is_ok_and(|lock| is_held(&lock))
}

fn is_held(lock: &File) -> bool {
    matches!(FileExt::try_lock_shared(lock), Err(TryLockError::WouldBlock))
}

/// An ID or a name.
pub(super) fn read_small(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    (text.len() <= 128).then_some(text)
}

fn record_of(dirs: &Dirs, id: &str) -> Result<Record> {
    let path = dirs.vm(id).join(RECORD);
    let mut record = check_schema(&path, Record::whole(&read_record_text(&path)?))?;
    record.name = renamed(dirs, id).unwrap_or(record.name);
    Ok(record)
}

/// The bytes of a record.
fn read_record_text(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    read_record(path, File::open(path), &mut text).map(|()| text)
}

/// As `read_record_text`, in the directory of all VMs, to a place that is used
/// again.
pub(super) fn read_text_in(vms: &Folder, id: &str, path: &Path, text: &mut Vec<u8>) -> Result<()> {
    text.clear();
    read_record(path, vms.file(&format!("{id}/{RECORD}")), text)
}

fn read_record(path: &Path, file: io::Result<File>, text: &mut Vec<u8>) -> Result<()> {
    file.and_then(|file| read_all(file, text)).map_err(|e| unreadable(path, e))?;
    match text.len() as u64 > MAX_RECORD {
        true => Err(unreadable(path, format!("more than {MAX_RECORD} bytes are no record"))),
        false => Ok(()),
    }
}

/// A record that is whole ends so: nobody asks again, a thousand times, whether
/// there is more.
const END: &[u8] = b"}";

fn read_all(mut file: File, text: &mut Vec<u8>) -> io::Result<()> {
    text.resize(USUAL_RECORD, 0);
    let length = file.read(text)?;
    text.truncate(length);
    if length == USUAL_RECORD || !text.ends_with(END) {
        file.take(MAX_RECORD + 1).read_to_end(text)?;
    }
    Ok(())
}

/// A record that this version can use.
pub(super) fn check_schema(path: &Path, parsed: serde_json::Result<Record>) -> Result<Record> {
    let record = parsed.map_err(|e| unreadable(path, e))?;
    if record.schema > SCHEMA {
        let why = format!("it is of schema {}, of a newer mvm", record.schema);
        return Err(unreadable(path, why).hint("use that mvm, or remove the VM with it"));
    }
    Ok(record)
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::cannot(format!("read {}", path.display()), why)
}

pub(super) fn other_vm(id: &str) -> Failure {
    Failure::new(format!("the record in {id} names another VM"))
}

pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{ExitRecord, ImageRecord, random_id};
    use super::*;

    pub(in super::super) fn record(dirs: &Dirs, name: &str) -> Record {
        Record {
            schema: SCHEMA,
            id: random_id().unwrap(),
            name: name.into(),
            created_ms: 1,
            image: ImageRecord {
                reference: "busybox".into(),
                id: String::new(),
                manifest_digest: String::new(),
                layers: Vec::new(),
            },
            command: vec!["true".into()],
            backend: "qemu".into(),
            user: "1000".into(),
            vcpus: 1,
            memory_mib: 64,
            network: "none".into(),
            auto_remove: false,
            labels: Default::default(),
            unlogged: false,
            phase: Phase::Creating,
            has_disk: false,
            started_ms: None,
            exit: None,
            dirs: dirs.clone(),
            monitor_pid: None,
            other: serde_json::Map::new(),
        }
    }

    pub(in super::super) fn store() -> (tempfile::TempDir, Dirs, VmStore) {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(home.path());
        let store = VmStore::new(&dirs);
        (home, dirs, store)
    }

    pub(in super::super) fn finished(claim: &mut Claim) {
        claim.record.phase = Phase::Exited;
        claim.record.exit = Some(ExitRecord {
            code: 0,
            signal: None,
            oom_killed: false,
            finished_ms: 2,
            error: None,
        });
        claim.save().unwrap();
    }

    #[test]
    fn found_by_id_name_and_prefix() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        let id = claim.record.id.clone();
        for word in [id.as_str(), "web", "/web", &id[..3], &id[..12]] {
            assert_eq!(store.find(word).unwrap().record.id, id, "{word}");
        }
        for word in ["we", &id[..2], "", "../web", "zzz"] {
            assert!(store.find(word).is_err(), "{word}");
        }
        let words = vec!["web".to_owned(), id, "nope".to_owned()];
        let results = store.resolve(&words);
        assert_eq!(results.len(), 2);
        assert!(results[0].is_ok() && results[1].is_err());
    }

    #[test]
    fn a_name_is_held_until_its_vm_goes() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        let error = store.create(record(&dirs, "web")).unwrap_err();
        assert!(error.message.contains("in use"), "{error}");
        drop(claim);
        store.remove(&store.find("web").unwrap()).unwrap();
        assert!(store.create(record(&dirs, "web")).is_ok());
        assert_eq!(store.create(record(&dirs, "")).unwrap().record.name.split('_').count(), 2);
    }

    #[test]
    fn a_held_vm_is_alive_and_cannot_be_removed() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        claim.record.phase = Phase::Running;
        claim.save().unwrap();
        let found = store.find("web").unwrap();
        assert!(found.alive);
        assert!(store.remove(&found).is_err());
        let inherited = claim.lock().unwrap();
        drop(claim);
        assert!(store.find("web").unwrap().alive, "the inherited lock counts");
        drop(inherited);
        assert_eq!(store.find("web").unwrap().phase(), Phase::Dead);
    }

    #[test]
    fn one_of_two_starts_gets_the_vm_and_a_removed_one_nobody() {
        let (_home, dirs, store) = store();
        let mut made = store.create(record(&dirs, "web")).unwrap();
        made.record.phase = Phase::Created;
        made.record.auto_remove = true;
        made.save().unwrap();
        let id = made.record.id.clone();
        assert!(store.claim(&id).unwrap().is_none(), "its maker has it");
        drop(made);
        assert_eq!(store.list().unwrap().len(), 1, "it is to go with its end, not before");
        let mut claim = store.claim(&id).unwrap().unwrap();
        assert!(store.claim(&id).unwrap().is_none());
        claim.record.phase = Phase::Starting;
        claim.record.auto_remove = false;
        claim.save().unwrap();
        drop(claim);
        // Its starter was killed: its disk is not lost.
        let found = store.find("web").unwrap();
        assert_eq!(found.phase(), Phase::Dead);
        store.remove(&found).unwrap();
        assert!(store.claim(&id).unwrap_err().message.contains("removed"));
        assert!(!dirs.vm(&id).exists());
    }

    #[test]
    fn leftovers_of_a_killed_maker_vanish() {
        let (_home, dirs, store) = store();
        let half_made = store.create(record(&dirs, "half")).unwrap();
        let directory = half_made.directory().to_owned();
        assert_eq!(store.list().unwrap().len(), 1);
        drop(half_made);
        assert!(store.list().unwrap().is_empty());
        assert!(!directory.exists());

        let bare = dirs.vm(&random_id().unwrap());
        fs::create_dir_all(&bare).unwrap();
        assert!(store.list().unwrap().is_empty());
        assert!(!bare.exists());
        fs::create_dir_all(&bare).unwrap();
        fs::write(bare.join(RECORD), "").unwrap();
        assert!(store.list().unwrap().is_empty());
        assert!(!bare.exists(), "what a power cut left");
    }

    #[test]
    fn a_stale_name_is_taken_over() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        fs::remove_dir_all(claim.directory()).unwrap();
        assert!(store.create(record(&dirs, "web")).is_ok());
    }

    #[test]
    fn unknown_fields_survive_and_newer_schemas_are_left_alone() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        claim.record.other.insert("later".into(), 7.into());
        finished(&mut claim);
        let again = store.find("web").unwrap();
        assert_eq!(again.record.other["later"], 7);
        claim.record.schema = SCHEMA + 1;
        claim.save().unwrap();
        let error = store.find("web").unwrap_err();
        assert!(error.message.contains("newer mvm"), "{error}");
        fs::write(claim.directory().join(RECORD), b"{\"schema\":").unwrap();
        assert!(store.find("web").is_err());
        assert!(store.list().unwrap().is_empty());
        assert!(claim.directory().exists(), "what cannot be read is kept");
    }
}
