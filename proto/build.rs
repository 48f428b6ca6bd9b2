// SPDX-License-Identifier: Apache-2.0
//! Generates the messages and the service of `agent.proto`.

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=protos");
    ttrpc_codegen::Codegen::new()
        .out_dir(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
        .input("protos/agent.proto")
        .include("protos")
        .rust_protobuf()
        .rust_protobuf_customize(ttrpc_codegen::ProtobufCustomize::default().gen_mod_rs(true))
        .customize(ttrpc_codegen::Customize {
            async_all: true,
            gen_mod: true,
            ..Default::default()
        })
        .run()
}
