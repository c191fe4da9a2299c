//! Slurm on a machine of the lab: a controller and one node, with a munge of their own; no service of the host's.

use super::Machine;
use crate::program::program;

/// The node is the machine itself. Accounting needs a database and is left out, as at small sites.
const SETTINGS: &str = "\
ClusterName=lab
SlurmctldHost=cluster(127.0.0.1)
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket=/run/slurm/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2
MpiDefault=none
ReturnToService=2
StateSaveLocation=/run/slurm/controller
SlurmdSpoolDir=/run/slurm/node
SlurmctldPidFile=/run/slurm/controller/pid
SlurmdPidFile=/run/slurm/node.pid
SlurmctldLogFile=/run/slurm/controller/log
SlurmdLogFile=/run/slurm/node.log
NodeName=cluster NodeAddr=127.0.0.1 CPUs=2 RealMemory=500 State=UNKNOWN
PartitionName=batch Nodes=cluster Default=YES MaxTime=1:00:00 State=UP
";

impl Machine {
    /// Starts Slurm; its node takes jobs when this returns.
    pub fn start_slurm(&self) {
        for needed in ["sbatch", "squeue", "/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/sbin/munged"] {
            let _ = program(needed);
        }
        // munged wants its folders its own, and its socket's open to those who use it.
        self.root(&format!(
            r#"install -d -m 755 /run/slurm /run/slurm/etc /run/slurm/node
            install -d -o munge -g munge -m 755 /run/slurm/munge
            install -d -o slurm -g slurm -m 755 /run/slurm/controller
            cat > /run/slurm/etc/slurm.conf <<'END'
{SETTINGS}END
            mount --bind /run/slurm/etc /etc/slurm
            head -c 128 /dev/urandom > /run/slurm/munge/key
            chown munge: /run/slurm/munge/key; chmod 400 /run/slurm/munge/key
            cd /run/slurm/munge
            setpriv --reuid munge --regid munge --clear-groups /usr/sbin/munged --key-file=$PWD/key \
                --socket=$PWD/socket --pid-file=$PWD/pid --log-file=$PWD/log --seed-file=$PWD/seed
            /usr/sbin/slurmctld
            /usr/sbin/slurmd
            # Neither says when it is ready.
            for try in $(seq 300); do
                if [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; then exit 0; fi
                sleep 0.1
            done
            echo 'Slurm did not become ready:' >&2; sinfo >&2; cat /run/slurm/controller/log /run/slurm/node.log >&2
            exit 1"#
        ));
    }
}
