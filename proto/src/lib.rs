// SPDX-License-Identifier: Apache-2.0
//! What host and guest agree on: messages, constants, the handshake and the
//! multiplexer of the one byte stream between them, who a user is and what a
//! capability. It knows no hypervisor and opens no file or socket.

pub mod capabilities;
pub mod hello;
pub mod mux;
pub mod streams;
pub mod users;

#[allow(clippy::all, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/generated.rs"));
}

pub use generated::agent::*;
pub use generated::agent_ttrpc::{Agent, AgentClient, create_agent};
pub use joined::End as JoinEnd;
pub use process::NoNewPrivileges;
pub use protobuf::{EnumOrUnknown, MessageField};
pub use share::Kind as ShareKind;
pub use start_failure::Kind as StartFailureKind;

/// Name of the virtio-serial port that carries the channel on QEMU.
pub const SERIAL_PORT_NAME: &str = "mvm.agent";

/// vsock port on the host that the guest dials where there is vsock.
pub const VSOCK_PORT: u32 = 1025;

/// Kernel argument with the nonce of the hello, in hexadecimal.
pub const NONCE_ARGUMENT: &str = "mvm.nonce";

/// Kernel argument that names the channel: `serial` or `vsock`.
pub const CHANNEL_ARGUMENT: &str = "mvm.channel";

/// ID of the workload's process.
pub const MAIN_PROCESS: &str = "main";

/// Bytes of a VM's secrets together: what a request can hold, and room for the
/// rest of it.
pub const MAX_SECRETS: usize = 2 << 20;

/// Layers of one image; Docker's own limit.
pub const MAX_LAYERS: usize = 127;

/// Prefix of a device name that is to be found by its virtio-blk serial
/// (`/sys/block/*/serial`) and not by its path.
pub const DEVICE_BY_SERIAL: &str = "serial:";
