// SPDX-License-Identifier: Apache-2.0
//! Generates the messages and the service of `agent.proto`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=protos");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    ttrpc_codegen::Codegen::new()
        .out_dir(&out)
        .input("protos/agent.proto")
        .include("protos")
        .rust_protobuf()
        .rust_protobuf_customize(ttrpc_codegen::ProtobufCustomize::default().gen_mod_rs(false))
        .customize(ttrpc_codegen::Customize { async_all: true, ..Default::default() })
        .run()?;
    // The generators' own mod.rs has inner attributes, which `include!` refuses.
    std::fs::write(out.join("generated.rs"), "pub mod agent;\npub mod agent_ttrpc;\n")
}
