// SPDX-License-Identifier: Apache-2.0
//! SSH into a VM, over its channel: keys, a client, and what OpenSSH needs to
//! be one. The server is a helper in the guest (guest/src/ssh); there is no
//! network between, and no port is open on either side.

mod agent;
mod client;
mod config;
mod escape;
mod identity;
mod keys;
mod transport;

pub use client::{Login, Session, run};
pub use config::host_block;
pub use identity::authorized_keys;
pub use keys::Keys;
pub use transport::pass;

/// Where a connection or its authentication failed, ssh exits with this.
pub const FAILED: u8 = 255;
