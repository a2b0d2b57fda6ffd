//! The group as a state machine, on a clock that the test turns.

use super::member::{JoinRequest, JoinResult};
use super::state::{Group, GroupError, Outcome, State};
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::sync::oneshot::Receiver;
use tokio::time::Instant;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_mins(1);

fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        requires_known_id: false,
        can_skip_assignment: false,
    }
}

fn fixed(instance: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.to_owned()),
        ..request("")
    }
}

fn join(
    group: &mut Group,
    request: &JoinRequest,
    new_id: &str,
    now: Instant,
) -> Outcome<JoinResult> {
    group.join(request, || new_id.to_owned(), 10, now)
}

fn now_of<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Now(result) => result,
        Outcome::Later(mut receiver) => receiver.try_recv().expect("answered at once"),
    }
}

fn later<T>(outcome: Outcome<T>) -> Receiver<T> {
    match outcome {
        Outcome::Now(_) => panic!("answered before the group was ready"),
        Outcome::Later(receiver) => receiver,
    }
}

/// A group with these members, all in the same generation, with their own ids for assignments.
fn stable(ids: &[&str], now: Instant) -> Group {
    let mut group = Group::default();
    let mut waiting = Vec::new();
    for id in ids {
        let present: Vec<String> = group.members.keys().cloned().collect();
        waiting.push(join(&mut group, &request(""), id, now));
        for other in present {
            waiting.push(join(&mut group, &request(&other), "", now));
        }
    }
    assert_eq!(group.state, State::CompletingRebalance);
    let generation = group.generation;
    let leader = group.leader.clone().unwrap();
    let assignments = ids
        .iter()
        .map(|id| ((*id).to_owned(), Bytes::copy_from_slice(id.as_bytes())))
        .collect();
    now_of(group.sync(&leader, None, generation, (None, None), assignments, now));
    assert_eq!(group.state, State::Stable);
    group
}

#[test]
fn a_new_member_is_told_its_id_before_it_may_join() {
    let (mut group, now) = (Group::default(), Instant::now());
    let first = JoinRequest {
        requires_known_id: true,
        ..request("")
    };
    let told = now_of(join(&mut group, &first, "a-1", now));
    assert_eq!(
        (told.error, told.member_id.as_str()),
        (Some(GroupError::MemberIdRequired), "a-1")
    );
    let joined = now_of(join(&mut group, &request("a-1"), "", now));
    assert_eq!(
        (joined.error, joined.generation, joined.leader.as_str()),
        (None, 1, "a-1")
    );
    assert_eq!(joined.members.len(), 1);
    let unknown = now_of(join(&mut group, &request("b-7"), "", now));
    assert_eq!(unknown.error, Some(GroupError::UnknownMember));
}

#[test]
fn an_id_that_nobody_joins_with_lapses_and_lets_the_others_go_on() {
    let now = Instant::now();
    let mut group = stable(&["a"], now);
    let newcomer = JoinRequest {
        requires_known_id: true,
        ..request("")
    };
    now_of(join(&mut group, &newcomer, "b", now));
    let mut waiting = later(join(&mut group, &request("a"), "", now));
    assert!(
        waiting.try_recv().is_err(),
        "the group waits for the newcomer"
    );
    group.expire(now + SESSION);
    assert_eq!(waiting.try_recv().unwrap().generation, 2);
}

#[test]
fn a_rebalance_waits_for_all_and_goes_on_without_those_who_do_not_come() {
    let now = Instant::now();
    let mut group = stable(&["a", "b"], now);
    let generation = group.generation;
    let mut newcomer = later(join(&mut group, &request(""), "c", now));
    assert_eq!(
        group.heartbeat("a", None, generation, now),
        Err(GroupError::RebalanceInProgress)
    );
    let mut a = later(join(&mut group, &request("a"), "", now));
    assert!(
        a.try_recv().is_err() && newcomer.try_recv().is_err(),
        "b has not joined yet"
    );
    // It sends heartbeats, so its session goes on, but it does not join.
    let mut at = now;
    while at < now + REBALANCE {
        assert_eq!(
            group.heartbeat("b", None, generation, at),
            Err(GroupError::RebalanceInProgress)
        );
        assert!(a.try_recv().is_err());
        group.expire(at);
        at += SESSION / 2;
    }
    group.expire(now + REBALANCE);
    let (a, c) = (a.try_recv().unwrap(), newcomer.try_recv().unwrap());
    assert_eq!(
        (a.generation, c.generation),
        (generation + 1, generation + 1)
    );
    assert_eq!(
        a.members.len() + c.members.len(),
        2,
        "the leader alone sees the members"
    );
    assert_eq!(
        group.heartbeat("b", None, generation, at),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn a_member_that_falls_silent_is_dropped_after_its_session() {
    let now = Instant::now();
    let mut group = stable(&["a", "b"], now);
    let generation = group.generation;
    let half = now + SESSION / 2;
    group.heartbeat("a", None, generation, half).unwrap();
    let next = group.expire(half).unwrap();
    assert_eq!(next, now + SESSION);
    group.expire(next);
    assert_eq!(group.state, State::PreparingRebalance);
    assert_eq!(group.members.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        now_of(join(&mut group, &request("a"), "", next)).generation,
        generation + 1
    );
}

#[test]
fn requests_of_another_generation_are_refused() {
    let now = Instant::now();
    let mut group = stable(&["a"], now);
    let stale = group.generation - 1;
    assert_eq!(
        group.heartbeat("a", None, stale, now),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        group.check_commit("a", None, stale, now),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        group.check_commit("", None, -1, now),
        Err(GroupError::UnknownMember)
    );
    let synced = now_of(group.sync("a", None, stale, (None, None), Vec::new(), now));
    assert_eq!(synced.error, Some(GroupError::IllegalGeneration));
    group.leave("a", None, now).unwrap();
    assert_eq!(group.state, State::Empty);
    assert_eq!(
        group.check_commit("", None, -1, now),
        Ok(()),
        "anyone may commit for a group without members"
    );
}

#[test]
fn a_follower_waits_for_the_leaders_assignment() {
    let now = Instant::now();
    let mut group = Group::default();
    now_of(join(&mut group, &request(""), "a", now));
    let b = later(join(&mut group, &request(""), "b", now));
    now_of(join(&mut group, &request("a"), "", now));
    drop(b);
    let generation = group.generation;
    let mut synced = later(group.sync("b", None, generation, (None, None), Vec::new(), now));
    assert!(synced.try_recv().is_err());
    assert_eq!(
        group.check_commit("b", None, generation, now),
        Err(GroupError::RebalanceInProgress)
    );
    let assignments = vec![("b".to_owned(), Bytes::from_static(b"mine"))];
    let leader = now_of(group.sync(
        "a",
        None,
        generation,
        (None, Some("range")),
        assignments,
        now,
    ));
    assert_eq!((leader.error, leader.assignment.len()), (None, 0));
    assert_eq!(synced.try_recv().unwrap().assignment, "mine");
    // Asking again brings the same.
    let again = now_of(group.sync("b", None, generation, (None, None), Vec::new(), now));
    assert_eq!(again.assignment, "mine");
}

#[test]
fn a_leader_that_joins_again_causes_a_rebalance_and_a_follower_does_not() {
    let now = Instant::now();
    let mut group = stable(&["a", "b"], now);
    let leader = group.leader.clone().unwrap();
    let follower = if leader == "a" { "b" } else { "a" };
    let told = now_of(join(&mut group, &request(follower), "", now));
    assert_eq!(
        (told.generation, group.state),
        (group.generation, State::Stable)
    );
    later(join(&mut group, &request(&leader), "", now));
    assert_eq!(group.state, State::PreparingRebalance);
}

#[test]
fn a_restarted_static_member_takes_its_place_without_a_rebalance() {
    let now = Instant::now();
    let mut group = Group::default();
    now_of(join(&mut group, &fixed("i"), "old", now));
    let assignments = vec![("old".to_owned(), Bytes::from_static(b"mine"))];
    now_of(group.sync("old", Some("i"), 1, (None, None), assignments, now));
    let modern = JoinRequest {
        can_skip_assignment: true,
        ..fixed("i")
    };
    let back = now_of(join(&mut group, &modern, "new", now));
    assert_eq!(
        (back.generation, back.leader.as_str(), back.skip_assignment),
        (1, "new", true)
    );
    let synced = now_of(group.sync("new", Some("i"), 1, (None, None), Vec::new(), now));
    assert_eq!(synced.assignment, "mine");
    assert_eq!(
        group.heartbeat("old", Some("i"), 1, now),
        Err(GroupError::FencedInstance)
    );
    // An older client is told that someone else leads, so that it assigns nothing.
    let older = now_of(join(&mut group, &fixed("i"), "newer", now));
    assert_eq!((older.leader.as_str(), older.members.len()), ("new", 0));
}

#[test]
fn members_must_have_a_protocol_in_common_and_groups_are_limited() {
    let now = Instant::now();
    let mut group = stable(&["a"], now);
    let other = JoinRequest {
        protocols: vec![("sticky".to_owned(), Bytes::new())],
        ..request("")
    };
    let refused = now_of(join(&mut group, &other, "b", now));
    assert_eq!(refused.error, Some(GroupError::InconsistentProtocol));
    let full = now_of(group.join(&request(""), || "b".to_owned(), 1, now));
    assert_eq!(full.error, Some(GroupError::GroupFull));
}

#[test]
fn a_client_that_hung_up_while_joining_is_not_waited_for_longer_than_its_session() {
    let now = Instant::now();
    let mut group = stable(&["a", "b"], now);
    drop(later(join(&mut group, &request(""), "c", now)));
    later(join(&mut group, &request("b"), "", now));
    let mut a = later(join(&mut group, &request("a"), "", now));
    assert!(a.try_recv().is_err());
    group.expire(now + SESSION);
    assert!(!group.members.contains_key("c"));
}
