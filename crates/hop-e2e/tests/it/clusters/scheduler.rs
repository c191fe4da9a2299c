//! Slurm behind the bastion.

use hop_e2e::Lab;
use hop_e2e::lab::Codes;

use crate::person::{CONFIG, Person};

#[test]
fn a_job_is_sent_watched_and_fetched_on_one_code() {
    let lab = Lab::start(Codes::Strict);
    lab.cluster.start_slurm();
    let person = Person::new(&lab, CONFIG);
    person.enable(&["bastion", "cluster"]);
    person.log_in("cluster");
    lab.client.write("job.sh", "#!/bin/sh\n#SBATCH --job-name=sum --output=sum.txt\nexpr 40 + 2\n");
    person.shell("scp -q job.sh cluster:");
    let waiting = person.run(&["hop", "exec", "cluster", "--", "sbatch --parsable --hold job.sh"], "");
    let job = waiting.trim();
    assert!(job.parse::<u32>().is_ok(), "{waiting}");
    let queue = person.run(&["hop", "exec", "cluster", "--", "squeue -h -o '%i %j %u %t'"], "");
    assert_eq!(queue, format!("{job} sum alice PD\n"));
    let _ = person.run(&["hop", "exec", "cluster", "--", "scontrol", "release", job], "");
    let done = person.run(&["ssh", "cluster", "sbatch", "--parsable", "--wait", "-d", job, "job.sh"], "");
    assert_ne!(done.trim(), job);
    assert_eq!(person.run(&["ssh", "cluster", "cat", "sum.txt"], ""), "42\n");
    let wrong = person.finish(&["hop", "exec", "cluster", "--", "sbatch", "-p", "nosuch", "job.sh"], "");
    assert_eq!(wrong.status.code(), Some(1), "the scheduler's own status: {wrong:?}");
    assert_eq!(person.logins(), (1, 1));
}
