//! Which system calls a worker may make once it is set up.
//!
//! Three outcomes. What decoding needs is allowed. What a C library does now and then to learn about
//! its surroundings, and copes without (a look at a file, at limits, at the terminal), gets `EPERM`: a
//! new libc must not turn a harmless question into a dead worker. All the rest ends the process: no
//! code of ours makes these calls, so whoever makes one has taken over, and gets no second try.

use framewell_decode::protocol::setup::Hwaccel;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that decoding needs, with any arguments: memory, the socket, time, the end.
const NEEDED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_fcntl,
    libc::SYS_lseek,
    libc::SYS_fstat,
];

/// Questions that are answered with `EPERM`.
const REFUSED: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_ioctl,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_getcpu,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_prlimit64,
    libc::SYS_membarrier,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_setaffinity,
];

/// The same, of the calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[i64] = &[
    libc::SYS_open,
    libc::SYS_access,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_readlink,
    libc::SYS_getrlimit,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// What nothing in a graphics driver needs: other programs, other processes, the network beyond the
/// machine is left to Landlock.
const FORBIDDEN_TO_DRIVERS: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_userfaultfd,
    libc::SYS_reboot,
];

/// Puts the filters in force for this process, for good.
pub(crate) fn enter(hwaccel: Hwaccel) -> Result<(), seccompiler::Error> {
    for filter in filters(hwaccel)? {
        seccompiler::apply_filter(&filter)?;
    }
    Ok(())
}

/// The kernel does what the strictest filter says: with two of them there are three outcomes.
fn filters(hwaccel: Hwaccel) -> Result<Vec<BpfProgram>, BackendError> {
    let refused = || REFUSED.iter().chain(REFUSED_OLD).copied();
    if hwaccel != Hwaccel::None {
        let forbidden = any_arguments(FORBIDDEN_TO_DRIVERS.iter().copied());
        return Ok(vec![
            program(forbidden, SeccompAction::Allow, SeccompAction::KillProcess)?,
            without_x32(),
        ]);
    }
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let mut known = any_arguments(NEEDED.iter().copied().chain(refused()));
    known.extend(with_arguments()?);
    Ok(vec![
        program(any_arguments(refused()), SeccompAction::Allow, eperm)?,
        program(known, SeccompAction::KillProcess, SeccompAction::Allow)?,
    ])
}

/// Ends the process at a call by its x32 number: on x86-64 each forbidden call has such a second number,
/// which the list above does not know. Other architectures have no numbers that high.
fn without_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let instruction = |code: u32, jf: u8, k: u32| sock_filter {
        code: u16::try_from(code).expect("opcodes have 16 bits"),
        jt: 0,
        jf,
        k,
    };
    let answer = libc::BPF_RET | libc::BPF_K;
    vec![
        // The number is the first member of `seccomp_data`.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        instruction(answer, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(answer, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn any_arguments(calls: impl Iterator<Item = i64>) -> Rules {
    calls.map(|call| (call, Vec::new())).collect()
}

/// Calls that decoding needs in one way only.
fn with_arguments() -> Result<Rules, BackendError> {
    const EXECUTABLE: u64 = libc::PROT_EXEC.unsigned_abs() as u64;
    // No memory that can be run: whoever takes over must make do with the code that is there.
    let not_executable = || rule(2, SeccompCmpOp::MaskedEq(EXECUTABLE), 0);
    // abort() signals the thread that calls it.
    let own_process = u64::from(std::process::id());
    Ok([
        (libc::SYS_mmap, vec![not_executable()?]),
        (libc::SYS_mprotect, vec![not_executable()?]),
        (
            libc::SYS_tgkill,
            vec![rule(0, SeccompCmpOp::Eq, own_process)?],
        ),
        // Without an address: to the other end of the socket.
        (libc::SYS_sendto, vec![rule(4, SeccompCmpOp::Eq, 0)?]),
    ]
    .into())
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Qword;
    SeccompRule::new(vec![SeccompCondition::new(
        argument, length, operator, value,
    )?])
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, on_match, architecture)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_for_software_and_hardware() {
        assert_eq!(filters(Hwaccel::None).unwrap().len(), 2);
        assert_eq!(filters(Hwaccel::Cuda).unwrap().len(), 2);
    }

    /// What the last filter for drivers answers to a call.
    fn answer(number: u32) -> u32 {
        let filters = filters(Hwaccel::Cuda).unwrap();
        let program = filters.last().unwrap();
        let (mut at, mut value) = (0, None);
        loop {
            let instruction = &program[at];
            at += 1;
            match instruction.code {
                0x20 => value = (instruction.k == 0).then_some(number),
                0x35 if value.unwrap() >= instruction.k => at += usize::from(instruction.jt),
                0x35 => at += usize::from(instruction.jf),
                0x06 => return instruction.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn a_forbidden_call_has_no_second_number() {
        let execve = u32::try_from(libc::SYS_execve).unwrap();
        assert_eq!(answer(execve), libc::SECCOMP_RET_ALLOW);
        assert_eq!(answer(0x3fff_ffff), libc::SECCOMP_RET_ALLOW);
        for x32 in [0x4000_0000, 0x4000_0000 | execve, u32::MAX] {
            assert_eq!(answer(x32), libc::SECCOMP_RET_KILL_PROCESS);
        }
        // The kernel takes it; only this thread is bound by it.
        let thread = std::thread::spawn(|| seccompiler::apply_filter(&without_x32()));
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let both = |call: &&i64| NEEDED.contains(*call);
        assert_eq!(REFUSED.iter().chain(REFUSED_OLD).find(both), None);
    }
}
