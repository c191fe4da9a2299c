//! Servers that are started, and told of meanwhile.

use std::time::Duration;

use hop_e2e::Laptop;
use hop_e2e::hub::{Hub, Options};

use super::{SMALL, add, options};

/// A start that takes its time and tells what happens.
const SLOW: &str = r#"
import asyncio
from jupyterhub.spawner import SimpleLocalProcessSpawner
class Telling(SimpleLocalProcessSpawner):
    async def progress(self):
        yield {"progress": 20, "message": "looking for a node\x1b[2J"}
        yield {"progress": 20, "message": "looking for a node\x1b[2J"}
        await asyncio.sleep(1)
        yield {"progress": 60, "message": "pulling the image"}
    async def start(self):
        await asyncio.sleep(3)
        if os.path.exists(self.home_dir + "/broken"):
            raise RuntimeError("no node has room")
        return await super().start()
import os
c.JupyterHub.spawner_class = Telling
"#;

#[test]
fn who_waits_hears_what_the_hub_tells_of_the_start() {
    let hub = Hub::start(&Options { hub_config: SLOW.to_owned(), ..options("on") });
    let laptop = Laptop::new();
    let token = hub.token(&SMALL);
    let told = |run: &hop_e2e::Finished, whose: &str| {
        let said = run.stderr();
        let steps: Vec<&str> = said.lines().filter(|line| line.contains(" %)")).collect();
        let looking = format!("{whose}: looking for a node[2J (20 %)");
        assert_eq!(steps.iter().filter(|line| **line == looking).count(), 1, "{said}");
        assert!(steps.contains(&format!("{whose}: pulling the image (60 %)").as_str()), "{said}");
    };
    told(&add(&laptop, &hub, &token, &["--name", "hub"]).success(), "the server of alice");
    let named = add(&laptop, &hub, &token, &["--server", "lab", "--name", "lab"]).success();
    told(&named, "the server lab of alice");
    // ssh tells the same, and why there will be none.
    hub.stop_server();
    told(&laptop.ssh("hub", "true").limit(Duration::from_secs(120)).success(), "the server of alice");
    hub.stop_server();
    std::fs::write(hub.home().join("broken"), "").unwrap();
    let failed = laptop.ssh("hub", "true").limit(Duration::from_secs(120)).status(255).stderr();
    assert!(
        failed.contains("error: the server of alice does not start: Spawn failed: no node has room\n"),
        "{failed}"
    );
}
