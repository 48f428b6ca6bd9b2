// SPDX-License-Identifier: Apache-2.0
//! A look into a VM that does not run: it is booted as it was made, without its network and
//! its workload, and is afterwards what it was.

use std::time::{Duration, Instant};

use super::{Notices, check, injected, start};
use crate::error::{Failure, Result};
use crate::monitor::{self, ExecRequest, Helper, Launch};
use crate::spec::{Blueprint, Network, SecretContents};
use crate::state::{Claim, Found, Phase, VmStore};

/// How long another command may have the VM.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// A VM that is up for helpers, and held.
pub struct Visit {
    inside: monitor::Visit,
    _claim: Claim,
}

/// What came of a wish to have a VM that does not run.
pub enum Held {
    Claimed(Claim),
    /// It runs by now, or is about to.
    Runs(Found),
}

/// Takes a VM that nobody holds; waits for a while for one that does not run and is held, as
/// `mvm cp` does.
pub async fn hold(found: &Found) -> Result<Held> {
    let store = VmStore::new(&found.record.dirs);
    let begun = Instant::now();
    loop {
        if let Some(claim) = store.claim(&found.record.id)? {
            return Ok(Held::Claimed(claim));
        }
        let now = store.read(&found.record.id)?;
        if now.runs() {
            return Ok(Held::Runs(now));
        }
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!("VM {} is in use", now.record.name))
                .hint("mvm cp, or another command, works in it; try again later"));
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Visit {
    /// Boots a VM that does not run.
    pub async fn begin(mut claim: Claim) -> Result<Self> {
        let dirs = claim.record.dirs.clone();
        let name = &claim.record.name;
        let mut blueprint = Blueprint::read(claim.directory())?.ok_or_else(|| {
            Failure::new(format!("VM {name} cannot be started again"))
                .hint("it was made with --rm, or by an mvm that did not keep how")
        })?;
        blueprint.spec.network = Network::None;
        let host = check(&dirs, &blueprint.spec, Notices::Hidden)?;
        let mut launch =
            start::prepare(&dirs, host, &blueprint, SecretContents::default(), &claim)?;
        launch.inject = injected(&claim);
        match claim.record.phase {
            // Or its first start would take another disk.
            Phase::Created if !claim.record.has_disk => claim.record.has_disk = true,
            // Or it would seem to run while it is held.
            Phase::Starting | Phase::Running => claim.record.phase = Phase::Dead,
            _ => return Self::boot(claim, launch).await,
        }
        claim.save()?;
        Self::boot(claim, launch).await
    }

    async fn boot(claim: Claim, launch: Launch) -> Result<Self> {
        Ok(Self { inside: monitor::Visit::begin(launch).await?, _claim: claim })
    }

    /// Starts a helper; one at a time.
    pub async fn helper(&self, request: ExecRequest) -> Result<Helper> {
        self.inside.helper(request).await
    }

    /// Ends the VM and lets go of it.
    pub async fn end(self) {
        self.inside.end().await;
    }
}
