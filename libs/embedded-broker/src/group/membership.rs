//! Who joins and who leaves.

use super::member::{JoinRequest, JoinResult, Member, SyncResult};
use super::state::{Group, GroupError, Outcome, State};
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Group {
    /// A request to join. `new_id` is the id for a member that has none yet.
    pub(crate) fn join(
        &mut self,
        request: &JoinRequest,
        new_id: impl FnOnce() -> String,
        max_members: usize,
        now: Instant,
    ) -> Outcome<JoinResult> {
        if !self.supports(request) {
            return refuse(GroupError::InconsistentProtocol, &request.member_id);
        }
        if !request.member_id.is_empty() {
            return self.join_known(request, now);
        }
        if let Some(instance_id) = &request.instance_id
            && let Some(old_id) = self.instances.get(instance_id).cloned()
        {
            return self.replace_static(&old_id, new_id(), request, now);
        }
        if self.members.len() + self.pending.len() >= max_members {
            return refuse(GroupError::GroupFull, "");
        }
        let id = new_id();
        if request.requires_known_id && request.instance_id.is_none() {
            self.pending
                .insert(id.clone(), now + request.session_timeout);
            return refuse(GroupError::MemberIdRequired, &id);
        }
        self.add_member(id, request, now)
    }

    fn join_known(&mut self, request: &JoinRequest, now: Instant) -> Outcome<JoinResult> {
        let id = &request.member_id;
        if self.pending.remove(id).is_some() {
            return self.add_member(id.clone(), request, now);
        }
        if let Err(error) = self.check_member(id, request.instance_id.as_deref()) {
            return refuse(error, id);
        }
        let unchanged = self
            .members
            .get(id)
            .is_some_and(|member| member.protocols == request.protocols);
        let is_leader = self.leader.as_ref() == Some(id);
        let needs_no_rebalance = match self.state {
            State::CompletingRebalance => unchanged,
            // A leader that joins again asks for a new assignment.
            State::Stable => unchanged && !is_leader,
            State::Empty | State::PreparingRebalance => false,
        };
        if let Some(member) = self.members.get_mut(id) {
            member.update(request);
            member.heard(now);
        }
        if needs_no_rebalance {
            return Outcome::Now(self.present_generation(id));
        }
        self.wait_for_rebalance(id, now)
    }

    fn add_member(
        &mut self,
        id: String,
        request: &JoinRequest,
        now: Instant,
    ) -> Outcome<JoinResult> {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        if let Some(instance_id) = &request.instance_id {
            self.instances.insert(instance_id.clone(), id.clone());
        }
        self.members
            .insert(id.clone(), Member::new(id.clone(), request, now));
        self.wait_for_rebalance(&id, now)
    }

    fn wait_for_rebalance(&mut self, id: &str, now: Instant) -> Outcome<JoinResult> {
        let (sender, receiver) = oneshot::channel();
        if let Some(member) = self.members.get_mut(id) {
            member.waiting_join = Some(sender);
        }
        self.prepare_rebalance(now);
        Outcome::Later(receiver)
    }

    /// A restarted process with a known instance id takes the place of its former self, with its assignment; without a
    /// rebalance when it wants what the former self wanted.
    fn replace_static(
        &mut self,
        old_id: &str,
        id: String,
        request: &JoinRequest,
        now: Instant,
    ) -> Outcome<JoinResult> {
        let Some(mut member) = self.members.remove(old_id) else {
            return refuse(GroupError::UnknownMember, "");
        };
        member.answer_join(JoinResult::refused(GroupError::FencedInstance, old_id));
        member.answer_sync(SyncResult::refused(GroupError::FencedInstance));
        let unchanged = member.protocols == request.protocols;
        member.update(request);
        member.id.clone_from(&id);
        member.heard(now);
        if let Some(instance_id) = &request.instance_id {
            self.instances.insert(instance_id.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        let was_leader = self.leader.as_deref() == Some(old_id);
        if was_leader {
            self.leader = Some(id.clone());
        }
        if self.state != State::Stable || !unchanged {
            return self.wait_for_rebalance(&id, now);
        }
        let mut result = self.present_generation(&id);
        if was_leader {
            result.skip_assignment = request.can_skip_assignment;
            if !request.can_skip_assignment {
                // An old client must not compute an assignment: let it take itself for a follower.
                old_id.clone_into(&mut result.leader);
                result.members.clear();
            }
        }
        Outcome::Now(result)
    }

    /// Whether the member speaks the group's type and at least one protocol that all others speak.
    fn supports(&self, request: &JoinRequest) -> bool {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return false;
        }
        let others = || {
            self.members
                .values()
                .filter(|member| member.id != request.member_id)
        };
        if others().next().is_none() {
            return true;
        }
        let everyone_speaks = |name: &str| {
            others().all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        self.protocol_type.as_deref() == Some(&request.protocol_type)
            && request
                .protocols
                .iter()
                .any(|(name, _)| everyone_speaks(name))
    }

    /// A member says goodbye, under its member id or its instance id.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        now: Instant,
    ) -> Result<(), GroupError> {
        if self.pending.remove(member_id).is_some() {
            self.complete_rebalance_if_ready(now);
            return Ok(());
        }
        let id = match instance_id {
            // An administrator removes a static member without knowing its member id.
            Some(instance_id) if member_id.is_empty() => {
                let known = self.instances.get(instance_id).cloned();
                known.ok_or(GroupError::UnknownMember)?
            }
            _ => member_id.to_owned(),
        };
        self.check_member(&id, instance_id)?;
        self.remove_member(&id);
        self.prepare_rebalance(now);
        Ok(())
    }

    pub(super) fn remove_member(&mut self, id: &str) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        member.answer_join(JoinResult::refused(GroupError::UnknownMember, id));
        member.answer_sync(SyncResult::refused(GroupError::UnknownMember));
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
    }
}

fn refuse(error: GroupError, member_id: &str) -> Outcome<JoinResult> {
    Outcome::Now(JoinResult::refused(error, member_id))
}
