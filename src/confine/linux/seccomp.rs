// SPDX-License-Identifier: Apache-2.0
//! System call filters (seccomp(2)). The runner gets a list of what it may
//! call; a program that we did not write gets a list of what nobody who runs
//! VMs calls, beside its own filter. Where both speak the stricter one wins.

use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use rustix::process::getpid;

use super::super::{ConfineError, Policy};
use super::syscalls::{ALLOWED, EXECUTION, HOSTILE, MISSING, SIGNALS};

/// Call number and rules of which one must hold; no rules: always.
type Rules = (i64, Vec<SeccompRule>);
type Result<T> = std::result::Result<T, ConfineError>;

const EPERM: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);
const ENOSYS: SeccompAction = SeccompAction::Errno(libc::ENOSYS as u32);

/// For a VMM that is confined before it is executed: it must still be able to
/// execute itself, and an error suits it better than death where it only tries.
pub fn for_program(policy: &Policy) -> Result<Vec<BpfProgram>> {
    let mut hostile: Vec<Rules> = always(HOSTILE);
    hostile.extend(always(SIGNALS));
    hostile.push((libc::SYS_clone, namespace_flags()?));
    hostile.push(socket_rules(policy)?);
    let mut filters = vec![
        filter(hostile, SeccompAction::Allow, EPERM)?,
        filter(always(MISSING), SeccompAction::Allow, ENOSYS)?,
    ];
    filters.extend(other_numbers());
    Ok(filters)
}

/// For this very process. What only an attacker calls ends it; what is merely
/// not on the list fails as on an older kernel: another libc may try things.
pub fn for_runner(policy: &Policy) -> Result<Vec<BpfProgram>> {
    let mut allowed: Vec<Rules> = always(ALLOWED);
    allowed.push((libc::SYS_clone, thread_flags()?));
    allowed.push((libc::SYS_socket, families(policy)?));
    let own = getpid().as_raw_pid();
    allowed.push((libc::SYS_tgkill, vec![rule(&[equal(0, own)?])?]));
    let hostile = always(HOSTILE).into_iter().chain(always(EXECUTION)).collect();
    // In this order: the list does not allow to install another.
    Ok(vec![
        filter(hostile, SeccompAction::Allow, SeccompAction::KillProcess)?,
        filter(allowed, ENOSYS, SeccompAction::Allow)?,
    ])
}

/// Puts this thread, and whatever it starts, under a filter. System calls only.
pub fn install(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Seccomp(e) | seccompiler::Error::Prctl(e) => e,
        _ => io::ErrorKind::InvalidInput.into(),
    })
}

fn always(calls: &[i64]) -> Vec<Rules> {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

/// Sockets that a program may not make: all, unless it is the network itself.
fn socket_rules(policy: &Policy) -> Result<Rules> {
    let rules = match policy.host_network {
        true => vec![rule(&[not_equal(0, libc::AF_INET)?, not_equal(0, libc::AF_INET6)?])?],
        // Its sockets are inherited.
        false => Vec::new(),
    };
    Ok((libc::SYS_socket, rules))
}

/// Families of sockets that the runner may make: of the agent's channel, and of
/// the network if it is asked to be one.
fn families(policy: &Policy) -> Result<Vec<SeccompRule>> {
    let mut families = vec![libc::AF_UNIX];
    if policy.host_network {
        families.extend([libc::AF_INET, libc::AF_INET6]);
    }
    families.into_iter().map(|family| rule(&[equal(0, family)?])).collect()
}

/// `clone` that makes a namespace.
fn namespace_flags() -> Result<Vec<SeccompRule>> {
    const FLAGS: [i32; 8] = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        0x80, // CLONE_NEWTIME
    ];
    FLAGS.into_iter().map(|flag| rule(&[has_bits(0, flag)?])).collect()
}

/// `clone` that makes a thread.
fn thread_flags() -> Result<Vec<SeccompRule>> {
    const THREAD: i32 = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    Ok(vec![rule(&[has_bits(0, THREAD)?])?])
}

fn filter(rules: Vec<Rules>, otherwise: SeccompAction, then: SeccompAction) -> Result<BpfProgram> {
    let target: TargetArch = std::env::consts::ARCH.try_into().map_err(failed)?;
    SeccompFilter::new(rules.into_iter().collect(), otherwise, then, target)
        .and_then(BpfProgram::try_from)
        .map_err(failed)
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule> {
    SeccompRule::new(conditions.to_vec()).map_err(failed)
}

fn equal(argument: u8, value: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn not_equal(argument: u8, value: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn has_bits(argument: u8, bits: i32) -> Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(bits as u64), bits)
}

/// The kernel looks at the lower half of these arguments only.
fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value as u64).map_err(failed)
}

fn failed(error: seccompiler::BackendError) -> ConfineError {
    ConfineError::Seccomp(error.to_string())
}

/// x86-64 has a second set of numbers for the same calls (x32), which a list
/// of what is forbidden would miss.
#[cfg(target_arch = "x86_64")]
fn other_numbers() -> Option<BpfProgram> {
    const X32_BIT: u32 = 0x4000_0000;
    const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, of offset 0
    const JUMP_IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = |code, k, jf| sock_filter { code, jt: 0, jf, k };
    Some(vec![
        step(LOAD_NUMBER, 0, 0),
        step(JUMP_IF_AT_LEAST, X32_BIT, 1),
        step(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0),
        step(RETURN, libc::SECCOMP_RET_ALLOW, 0),
    ])
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers() -> Option<BpfProgram> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions that the kernel takes in one filter.
    const MOST: usize = 4096;

    #[test]
    fn filters_are_short_enough_for_the_kernel() {
        let mut policy = Policy::default();
        for host_network in [false, true] {
            policy.host_network = host_network;
            let filters = [for_program(&policy).unwrap(), for_runner(&policy).unwrap()].concat();
            assert!(filters.iter().all(|filter| (1..MOST).contains(&filter.len())));
        }
    }
}
