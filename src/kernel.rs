// SPDX-License-Identifier: Apache-2.0
//! Finds the guest kernel and makes sure that it is one that our hypervisors
//! can boot: an ELF `vmlinux` with a PVH entry on x86_64, an `Image` on
//! aarch64. It reads headers only; the hypervisor loads the file.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

mod bundle;
mod format;

pub use bundle::{BundleError, Place, Verified};

/// A processor architecture that a guest can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// The host's, and so the guest's.
    pub const HOST: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };

    /// What a kernel's file may be called.
    fn file_names(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &["vmlinux"],
            Arch::Aarch64 => &["Image", "vmlinux"],
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        })
    }
}

/// A kernel that passed the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestKernel {
    /// Absolute.
    pub path: PathBuf,
    pub source: Source,
}

/// Why it was this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `--kernel`
    Flag,
    /// `MVM_KERNEL`
    Environment,
    /// The user put it in the data directory.
    Data,
    /// It came with mvm in one archive, and passed the manifest's check.
    Bundled,
    /// `kernel/build` left it in the cache directory.
    Built,
    /// A system's package put it beside mvm, with no manifest of ours.
    Packaged,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Flag => "--kernel",
            Source::Environment => "MVM_KERNEL",
            Source::Data => "data directory",
            Source::Bundled => "bundled",
            Source::Built => "built here",
            Source::Packaged => "packaged",
        })
    }
}

/// Why there is no kernel to boot.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("no kernel at {}, which {origin} names", path.display())]
    Missing { path: PathBuf, origin: Source },
    #[error("cannot read the kernel {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the kernel {} is for {found}, and this host is {wanted}", path.display())]
    WrongArchitecture { path: PathBuf, found: String, wanted: Arch },
    #[error("the kernel {} is truncated: {why}", path.display())]
    Truncated { path: PathBuf, why: String },
    #[error("the kernel {} is {found}, not {}", path.display(), expected(*wanted))]
    Format { path: PathBuf, found: &'static str, wanted: Arch },
    #[error("the kernel {} has no PVH entry point", path.display())]
    NoPvh { path: PathBuf },
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("there is no guest kernel")]
    NotFound {
        /// Where it was looked for, in this order.
        searched: Vec<PathBuf>,
    },
}

fn expected(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "an uncompressed ELF vmlinux",
        Arch::Aarch64 => "an uncompressed Image",
    }
}

impl KernelError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            KernelError::Missing { .. } | KernelError::Unreadable { .. } => {
                "name a file that you can read, or none, to use mvm's own kernel".into()
            }
            KernelError::WrongArchitecture { wanted, .. } => {
                format!("build one on a {wanted} host with `just kernel`")
            }
            KernelError::Truncated { .. } => "copy or build the file again".into(),
            KernelError::Format { .. } => {
                "use the file that the kernel's own build leaves under that name \
                 (`just kernel` makes one)"
                    .into()
            }
            KernelError::NoPvh { .. } => "build it with CONFIG_PVH=y (`just kernel` does)".into(),
            KernelError::Bundle(error) => error.hint(),
            KernelError::NotFound { searched } => {
                let places: Vec<_> = searched.iter().map(|p| p.display().to_string()).collect();
                format!(
                    "build one with `just kernel` (or `kernel/build`) in mvm's source, or set \
                     MVM_KERNEL to a vmlinux; looked for {}",
                    places.join(", ")
                )
            }
        })
    }
}

/// Where to look, in the order of the fields.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// `--kernel`; what is named is used or is an error.
    pub flag: Option<&'a Path>,
    /// `MVM_KERNEL`; likewise.
    pub environment: Option<&'a Path>,
    /// mvm's data directory.
    pub data: &'a Path,
    /// Where mvm's own bundle may be.
    pub bundles: Vec<Place>,
    /// Directories of `<key>/vmlinux`, of which the newest counts.
    pub builds: Vec<PathBuf>,
    /// Directories in which a package puts it.
    pub packaged: Vec<PathBuf>,
    pub arch: Arch,
}

impl<'a> Search<'a> {
    /// The search on this host. `kernel/build` fills the *user's* cache
    /// directory; mvm's own may be elsewhere (`MVM_HOME`).
    pub fn of_host(
        flag: Option<&'a Path>,
        environment: Option<&'a Path>,
        data: &'a Path,
        cache: &Path,
    ) -> Self {
        let mut builds = vec![cache.join("kernel")];
        if let Some(user) = directories::BaseDirs::new() {
            let shared = user.cache_dir().join("mvm").join("kernel");
            if !builds.contains(&shared) {
                builds.push(shared);
            }
        }
        let program = program();
        let bundles = program.as_deref().map(Place::beside).unwrap_or_default();
        let prefix = program.as_deref().and_then(Path::parent).and_then(Path::parent);
        let mut packaged = Vec::new();
        for prefix in prefix.map(Path::to_owned).into_iter().chain(system_prefix()) {
            for directory in ["share", "lib"] {
                let directory = prefix.join(directory).join("mvm");
                if !packaged.contains(&directory) {
                    packaged.push(directory);
                }
            }
        }
        Self { flag, environment, data, bundles, builds, packaged, arch: Arch::HOST }
    }
}

/// The file that this program is, whatever link it was called by.
fn program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    // What was replaced while it runs has no such path any more; its directory
    // is still the one.
    Some(program.canonicalize().unwrap_or(program))
}

fn system_prefix() -> Option<PathBuf> {
    cfg!(unix).then(|| PathBuf::from("/usr"))
}

/// Finds the kernel and checks it. The first that exists is the one: a kernel
/// that was put in place and cannot be used is reported, not passed over.
/// `known` is what was found out about the bundle's kernel the last time, and
/// is replaced by what was found out now.
pub fn find(search: &Search<'_>, known: &mut Option<Verified>) -> Result<GuestKernel, KernelError> {
    let named = [(search.flag, Source::Flag), (search.environment, Source::Environment)];
    for (path, source) in named {
        if let Some(path) = path {
            return usable(path, source, search.arch);
        }
    }
    let names = search.arch.file_names();
    let in_directory = |directory: &Path| names.iter().map(|name| directory.join(name)).collect();
    let mut searched: Vec<PathBuf> = in_directory(&search.data.join("kernel"));
    if let Some(path) = searched.iter().find(|path| path.is_file()) {
        return usable(path, Source::Data, search.arch);
    }
    for place in &search.bundles {
        if let Some(path) = bundle::kernel(place, known)? {
            return usable(&path, Source::Bundled, search.arch);
        }
        searched.push(place.manifest.clone());
    }
    let mut places: Vec<(Source, Vec<PathBuf>)> = Vec::new();
    for builds in &search.builds {
        let newest = newest_build(builds, names);
        let sought = || builds.join("*").join(names[0]);
        places.push((Source::Built, vec![newest.unwrap_or_else(sought)]));
    }
    for directory in &search.packaged {
        places.push((Source::Packaged, in_directory(directory)));
    }
    for (source, candidates) in places {
        for path in candidates {
            if path.is_file() {
                return usable(&path, source, search.arch);
            }
            searched.push(path);
        }
    }
    Err(KernelError::NotFound { searched })
}

fn newest_build(builds: &Path, names: &[&str]) -> Option<PathBuf> {
    fs::read_dir(builds)
        .ok()?
        .flatten()
        .flat_map(|key| names.iter().map(move |name| key.path().join(name)))
        .filter_map(|path| {
            let metadata = path.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path))
        })
        .max()
        .map(|(_, path)| path)
}

fn usable(path: &Path, source: Source, arch: Arch) -> Result<GuestKernel, KernelError> {
    // Absolute, because the VM's processes have another working directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let unreadable = |source| KernelError::Unreadable { path: path.clone(), source };
    // Before it is opened: opening a FIFO would wait for ever.
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(unreadable(io::Error::other("not a regular file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KernelError::Missing { path, origin: source });
        }
        Err(error) => return Err(unreadable(error)),
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    format::check(&mut file, arch).map_err(|problem| problem.at(&path, arch))?;
    Ok(GuestKernel { path, source })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::smallest;
