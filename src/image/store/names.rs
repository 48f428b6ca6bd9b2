// SPDX-License-Identifier: Apache-2.0
//! Names given and taken away. Only the index changes here; what an image leaves
//! behind is the collector's.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use super::collect::pinned;
use super::reach::Reach;
use super::{Entry, ImageSummary, Index, Named, Store};
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::reference::Reference;

/// What is in use outside the store.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Image IDs, and who uses them.
    users: BTreeMap<String, Vec<String>>,
    layers: HashSet<Digest>,
}

/// What became of an image that was to be removed.
#[derive(Clone, Debug, Default)]
pub struct Removed {
    /// Names that it lost, as Docker shows them.
    pub untagged: Vec<String>,
    /// The images that are gone.
    pub images: Vec<Digest>,
    /// What they may leave behind.
    pub left: Reach,
}

impl Usage {
    /// `user` uses the image `id` and these disk images.
    pub fn add<'a>(&mut self, user: &str, id: &str, layers: impl Iterator<Item = &'a Path>) {
        self.users.entry(id.to_owned()).or_default().push(user.to_owned());
        self.layers.extend(pinned(layers));
    }

    /// Who uses an image.
    pub fn users_of(&self, id: &Digest) -> &[String] {
        self.users.get(&id.to_string()).map_or(&[], Vec::as_slice)
    }

    /// Whether a layer's disk image is in use.
    pub fn pins(&self, diff_id: &Digest) -> bool {
        self.layers.contains(diff_id)
    }

    /// Every layer in use.
    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.layers.iter()
    }
}

impl Removed {
    /// Adds what became of another.
    pub fn extend(&mut self, other: Self) {
        self.untagged.extend(other.untagged);
        self.images.extend(other.images);
        self.left.extend(other.left);
    }
}

impl Store {
    /// Gives the image `source` the name `target`, which another may lose.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<()> {
        self.edit(|index| {
            let (_, found) = index.search(source)?;
            let entry = found.first().and_then(|at| index.manifests.get(*at));
            let entry = entry.ok_or_else(|| index.not_local(source))?.clone();
            index.tag(&entry, target);
            Ok(())
        })
    }

    /// Takes a name from an image, or all of them if it is named by its ID, and
    /// forgets the image with the last. It stays if something uses it, unless
    /// `force`: then its disk images stay.
    pub fn remove(&self, word: &str, force: bool, usage: &Usage) -> Result<Removed> {
        self.edit(|index| {
            let (named, found) = index.search(word)?;
            let entries: Vec<Entry> =
                found.iter().filter_map(|at| index.manifests.get(*at).cloned()).collect();
            if named == Named::Id && !force {
                refuse_several_repositories(word, &entries)?;
            }
            let removed = self.removal(index, &found, &entries);
            if let (false, Some((id, user))) = (force, in_use(&removed, usage)) {
                let image = word.to_owned();
                return Err(Error::InUse { image, id: id.short().to_owned(), user });
            }
            index.drop_at(&found);
            Ok(removed)
        })
    }

    /// Forgets the images that `unwanted` picks and nothing uses. With `all`,
    /// those with a name too.
    pub fn remove_unused(
        &self,
        all: bool,
        usage: &Usage,
        unwanted: impl Fn(&ImageSummary) -> bool,
    ) -> Result<Removed> {
        self.edit(|index| {
            let goes = |entry: &Entry| {
                ImageSummary::of(entry).is_some_and(|image| {
                    (all || image.reference.is_none())
                        && usage.users_of(&image.id).is_empty()
                        && unwanted(&image)
                })
            };
            let found: Vec<usize> =
                (0..index.manifests.len()).filter(|at| goes(&index.manifests[*at])).collect();
            let entries: Vec<Entry> =
                found.iter().filter_map(|at| index.manifests.get(*at).cloned()).collect();
            let removed = self.removal(index, &found, &entries);
            index.drop_at(&found);
            Ok(removed)
        })
    }

    /// What it means to drop these entries.
    fn removal(&self, index: &Index, positions: &[usize], entries: &[Entry]) -> Removed {
        let mut removed = Removed::default();
        let positions: HashSet<usize> = positions.iter().copied().collect();
        let staying = |fits: &dyn Fn(&Entry) -> bool| {
            let others = index.manifests.iter().enumerate();
            others.filter(|(at, _)| !positions.contains(at)).any(|(_, entry)| fits(entry))
        };
        for entry in entries {
            if let Some(reference) = entry.reference() {
                removed.untagged.push(reference.familiar());
            }
            let same = |other: &Entry| {
                other.digest == entry.digest && other.repository() == entry.repository()
            };
            if let (Some(pinned), false) = (entry.pinned_name(), staying(&same))
                && !removed.untagged.contains(&pinned)
            {
                removed.untagged.push(pinned);
            }
            if !staying(&|other| other.digest == entry.digest) {
                removed.left.extend(self.reach(entry));
            }
            let Some(id) = entry.id() else { continue };
            if !staying(&|other| other.id().as_ref() == Some(&id)) && !removed.images.contains(&id)
            {
                removed.images.push(id);
            }
        }
        removed.left.unknown = None;
        removed
    }
}

/// Docker's rule: an ID that stands for names in several repositories is not
/// clear enough.
fn refuse_several_repositories(word: &str, entries: &[Entry]) -> Result<()> {
    let repositories: BTreeSet<_> = entries.iter().map(Entry::repository).collect();
    match repositories.len() {
        0 | 1 => Ok(()),
        count => Err(Error::Referenced { image: word.to_owned(), count }),
    }
}

fn in_use(removed: &Removed, usage: &Usage) -> Option<(Digest, String)> {
    let users = removed.images.iter().map(|id| (id, usage.users_of(id)));
    users.filter_map(|(id, users)| Some((id.clone(), users.first()?.clone()))).next()
}
