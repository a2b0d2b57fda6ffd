//! The all-in-one with its data on disk: killed, with a torn log, without power, without room.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sagaline_testkit::Mount;
use sagaline_testkit::load::Load;
use sagaline_testkit::stack::{ALL_IN_ONE, Stack};
use tokio::time::Instant;

use super::lines::says_that_it_cannot_work;
use crate::drill::{Fault, drill};
use crate::world::World;

/// How long the disk stays full after that was noticed.
const FULL: Duration = Duration::from_secs(3);
/// Bytes of a record of which the rest is missing.
const TORN_BYTES: u64 = 37;
const BLOCK: usize = 64 * 1024;

async fn killed(
    world: &mut World,
    what: &str,
    meanwhile: impl AsyncFnOnce(&mut Stack, &Load) -> Result<()>,
) -> Result<()> {
    drill(world, what, async |stack, load| {
        let began = Instant::now();
        stack.kill_9(ALL_IN_ONE)?;
        meanwhile(stack, load).await?;
        stack.launch_again(ALL_IN_ONE)?;
        Ok(Fault::since(began))
    })
    .await
}

pub async fn the_all_in_one_is_killed(world: &mut World) -> Result<()> {
    let what = "kill -9 of `sagaline up --data-dir`, started again at once";
    killed(world, what, async |_, _| Ok(())).await
}

pub async fn the_log_of_the_all_in_one_is_torn(world: &mut World) -> Result<()> {
    let what = "kill -9 of `sagaline up --data-dir`, half a record at the end of the broker's log";
    killed(world, what, async |stack, _| {
        tear(&newest_log(stack.data())?)
    })
    .await
}

pub async fn the_log_of_the_all_in_one_ends_in_zeros(world: &mut World) -> Result<()> {
    let what = "kill -9 of `sagaline up --data-dir`, zeros at the end of the broker's log";
    killed(world, what, async |stack, _| {
        let mut log = OpenOptions::new()
            .append(true)
            .open(newest_log(stack.data())?)?;
        Ok(log.write_all(&[0; 4096])?)
    })
    .await
}

/// The segment that was written to last.
fn newest_log(data: &Path) -> Result<PathBuf> {
    let files = std::fs::read_dir(data.join("broker"))?;
    let logs = files.flatten().map(|file| file.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    logs.max().context("the broker has no log")
}

/// Leaves what a write leaves that came to half of a record.
fn tear(log: &Path) -> Result<()> {
    let mut record = Vec::new();
    let mut file = File::open(log)?;
    // Behind the segment's eight first bytes there is a whole record.
    file.seek(SeekFrom::Start(8))?;
    file.take(TORN_BYTES).read_to_end(&mut record)?;
    ensure!(!record.is_empty(), "the log is empty");
    Ok(OpenOptions::new()
        .append(true)
        .open(log)?
        .write_all(&record)?)
}

pub async fn the_power_fails(world: &mut World) -> Result<()> {
    for _ in 0..3 {
        let disk = world.disk.take().context("no disk")?;
        let mut rescued = None;
        let what = "power of `sagaline up --data-dir` fails: all that was not flushed to the disk is gone; started again";
        let drilled = drill(world, what, async |stack, _| {
            // Frozen, so that nothing is acknowledged that the copy of the disk has not.
            stack.freeze(ALL_IN_ONE)?;
            let began = Instant::now();
            let copy = disk.after_power_loss()?;
            stack.kill_9(ALL_IN_ONE)?;
            let mount = Mount::image(&copy)?;
            stack.set_data(&mount.path().join("data"));
            rescued = Some((copy, mount));
            stack.launch_again(ALL_IN_ONE)?;
            Ok(Fault::since(began))
        })
        .await;
        if let Some((copy, mount)) = rescued {
            world.mount = Some(mount);
            world.disk = Some(copy);
        }
        drilled?;
    }
    Ok(())
}

pub async fn the_disk_is_full(world: &mut World) -> Result<()> {
    let folder = world.mount.as_ref().context("no small disk")?.path();
    let ballast = folder.join("ballast");
    let client = world.client.clone();
    let what = "disk of `sagaline up --data-dir` full, then room again";
    drill(world, what, async |_, load| {
        let began = Instant::now();
        fill(&ballast)?;
        says_that_it_cannot_work(&client, "order-service").await?;
        let refused = load.answered().asked_again;
        tokio::time::sleep(FULL).await;
        ensure!(
            load.answered().asked_again > refused,
            "nobody was asked to come again although the disk is full"
        );
        std::fs::remove_file(&ballast)?;
        Ok(Fault::since(began))
    })
    .await
}

pub async fn the_disk_is_full_again(world: &mut World) -> Result<()> {
    the_disk_is_full(world).await
}

/// Writes until there is no room.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = File::create(ballast)?;
    let block = vec![1; BLOCK];
    loop {
        match file.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
