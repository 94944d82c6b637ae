//! What every store must do, as cases that its author runs. A case fails by panicking; its name says what goes wrong
//! where it fails.
//!
//! Write a [`Subject`] that hands out a fresh, empty store, and let [`store_conformance!`](crate::store_conformance) make
//! a `#[tokio::test]` of every case:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use parkway_core::clock::Clock;
//! use parkway_core::id::Time;
//! use parkway_core::store::Store;
//! use parkway_core::testing::conformance::{Subject, agrees_with_model};
//! use parkway_core::testing::{FakeClock, MemoryStore};
//!
//! // A store of your own in its place.
//! struct Mine {
//!     clock: Arc<FakeClock>,
//!     store: Arc<MemoryStore>,
//! }
//!
//! #[async_trait::async_trait]
//! impl Subject for Mine {
//!     fn store(&self) -> Arc<dyn Store> {
//!         self.store.clone()
//!     }
//!
//!     fn now(&self) -> Time {
//!         self.clock.now()
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.clock.advance(by);
//!     }
//!     // `reopen` too if the data outlive the store, and `sql` if it has tables.
//! }
//!
//! async fn fresh() -> Mine {
//!     let clock = Arc::new(FakeClock::default());
//!     Mine { store: Arc::new(MemoryStore::new(clock.clone())), clock }
//! }
//!
//! mod my_store {
//!     parkway_core::store_conformance!(super::fresh());
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! agrees_with_model(async || Box::new(fresh().await) as Box<dyn Subject>, 0..10).await;
//! # });
//! ```
//!
//! What each method of a store promises, and what the suite does not test, is told in the book, in "A store of your own".
//! The crate needs `tokio` with the features `macros` and `rt`. Harnesses of another kind iterate [`CASES`].
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::id::Time;
use crate::store::Store;

mod agreement;
mod atomicity;
mod claims;
mod content;
mod creation;
mod ended;
mod holding;
mod listing;
mod memories;
mod messages;
mod order;
mod outbox;
mod proofs;
mod quantity;
mod races;
mod reopening;
mod room;
mod sending;
mod snapshots;
mod statements;

pub use self::agreement::agrees_with_model;

/// A store under test, with the clock that it reads.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store; empty when the case begins.
    fn store(&self) -> Arc<dyn Store>;

    /// The time by the store's clock.
    fn now(&self) -> Time;

    /// Lets `by` pass: moves a fake clock, or sleeps until the real one is there.
    async fn advance(&self, by: Duration);

    /// Closes the store and opens the same data again, as the next process would. `false`, the default, where the data
    /// cannot outlive the store.
    async fn reopen(&mut self) -> bool {
        false
    }

    /// Runs a statement in the store's own database, past the store, as the embedder's program would on its own tables:
    /// `CREATE TABLE` and `SELECT`. Gives the rows, with whole numbers, fractions, texts and null as what they are.
    /// `None`, the default, where nobody can: then nothing is known of the store's [`Write::Sql`](crate::store::Write::Sql)
    /// but that it refuses what cannot be done.
    ///
    /// # Panics
    ///
    /// Where the statement fails.
    async fn sql(&self, statement: &str) -> Option<Vec<Vec<Value>>> {
        let _ = statement;
        None
    }

    /// Names of the store's own tables, which no statement of a step may reach.
    fn own_tables(&self) -> Vec<String> {
        vec!["parkway_run".into(), "parkway_event".into(), "parkway_message".into()]
    }
}

/// One thing that a store must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What goes wrong where it fails.
    pub name: &'static str,
    /// Runs it. Needs a tokio runtime.
    pub run: fn(Box<dyn Subject>) -> Running,
}

/// A case under way: ready when it has passed.
pub type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs the case of that name, for [`store_conformance!`](crate::store_conformance).
#[doc(hidden)]
pub async fn run(name: &str, subject: impl Subject + 'static) {
    let case = CASES.iter().find(|case| case.name == name);
    assert!(case.is_some(), "there is no case {name}");
    if let Some(case) = case {
        (case.run)(Box::new(subject)).await;
    }
}

macro_rules! suite {
    ($dollar:tt $($file:ident { $($case:ident)* })*) => {
        /// Every case, in the order in which they are best read.
        pub const CASES: &[Case] = &[
            $($(Case { name: stringify!($case), run: |subject| Box::pin($file::$case(room::Room::new(subject))) },)*)*
        ];

        /// Makes a `#[tokio::test]` of every case of [`CASES`](crate::testing::conformance::CASES). Takes an expression
        /// that gives a future of a fresh [`Subject`](crate::testing::conformance::Subject).
        #[macro_export]
        macro_rules! store_conformance {
            ($dollar fresh:expr) => {
                $($(
                    #[tokio::test]
                    async fn $case() {
                        $crate::testing::conformance::run(stringify!($case), $dollar fresh.await).await;
                    }
                )*)*
            };
        }
    };
}

suite! { $
    creation {
        a_created_run_is_not_listed
        a_run_is_created_twice
        a_run_begins_without_being_enqueued
        a_run_is_created_in_the_middle_of_its_log
        a_new_run_is_free_before_its_creator_has_renewed
        a_dead_creator_holds_its_run_for_ever
        an_enqueued_run_cannot_be_begun
        a_run_is_enqueued_over_one_that_exists
        one_commit_enqueues_a_run_twice
        a_refused_commit_enqueues_its_run
        a_child_has_no_parent
        the_text_of_a_new_run_changes_on_its_way
    }
    order {
        a_gap_in_the_log_is_accepted
        an_event_of_another_run_is_accepted
        an_event_under_another_fence_is_accepted
        a_stale_commit_is_accepted
        a_commit_ahead_of_the_log_is_accepted
        a_commit_makes_an_unknown_run
        a_zombie_commits_under_an_old_fence
        a_commit_is_accepted_after_a_release
        a_lease_that_nobody_took_over_is_worthless
        the_right_fence_in_the_wrong_hands_is_accepted
        a_commit_sent_twice_is_doubled
        a_commit_sent_twice_is_refused_after_a_takeover
        a_refused_commit_is_taken_for_done
        an_empty_commit_moves_the_head
    }
    atomicity {
        a_refused_commit_leaves_its_events
        a_refused_commit_leaves_its_payloads
        a_refused_commit_consumes_a_message
        a_refused_commit_changes_the_status
        a_message_is_acted_on_twice
        a_message_of_another_run_is_consumed
        one_commit_consumes_a_message_twice
        a_commit_that_only_consumes_is_refused
    }
    content {
        an_event_changes_on_its_way
        many_events_of_one_commit_lose_their_order
        events_before_the_one_asked_for_come_back
        events_of_an_unknown_run_are_an_empty_list
        the_beginning_of_a_log_is_cut_elsewhere
        payloads_come_in_another_order
        a_missing_payload_shifts_the_others
        a_payload_changes_on_its_way
        a_large_payload_is_cut
        an_empty_payload_counts_as_missing
        a_payload_committed_twice_breaks_the_second_commit
        many_payloads_are_too_many_to_ask_for
        many_payloads_are_too_many_for_one_commit
    }
    claims {
        a_held_run_is_given_to_a_second_worker
        a_held_run_is_given_to_its_holder_again
        a_released_run_cannot_be_claimed
        an_expired_lease_holds_its_run
        a_renewed_lease_expires_early
        a_renewal_cannot_shorten_a_lease
        a_zombie_renews
        an_expired_lease_that_nobody_took_cannot_be_renewed
        a_renewal_of_an_unknown_run_succeeds
        an_ended_run_is_claimed
        an_unknown_run_is_an_error_to_claim
        any_run_comes_before_its_time
        a_run_with_a_message_waits_for_its_timer
        a_run_that_waits_for_nothing_but_a_person_is_given_out
        an_abandoned_run_waits_for_its_timer
        the_wake_of_the_last_commit_outlives_a_release
        the_oldest_run_starves
        a_fence_does_not_grow
        a_zombie_releases
        a_run_is_released_twice
        a_run_with_unread_messages_is_released
        a_refused_release_frees_the_run
        an_ended_run_with_unread_messages_cannot_be_released
    }
    ended {
        an_ended_run_cannot_be_begun_again
        an_ended_run_is_claimed_without_a_word_that_it_may_be
        the_last_holder_goes_on_with_a_run_that_was_begun_again
        two_workers_go_on_with_a_run_that_was_begun_again
        a_held_run_is_taken_from_its_holder_as_if_it_had_ended
        whoever_takes_any_run_gets_one_that_has_ended
        a_run_that_was_begun_again_cannot_end
        a_commit_without_events_cannot_end_a_run
    }
    messages {
        a_message_to_an_unknown_run_is_accepted
        the_inbox_of_an_unknown_run_is_empty
        messages_are_read_out_of_order
        a_message_changes_on_its_way
        a_message_number_is_used_again
        a_message_lands_in_another_inbox
        a_held_run_cannot_be_signalled
        an_ended_run_cannot_be_signalled
    }
    sending {
        a_message_that_a_commit_sends_is_lost
        a_message_that_a_commit_sends_changes_on_its_way
        a_run_sleeps_through_a_message_that_a_commit_sends
        a_message_is_sent_to_an_unknown_run
        a_refused_commit_cannot_be_made_again
        a_malformed_commit_is_called_refused
        an_ended_run_gets_no_message_from_a_commit
        a_run_that_is_enqueued_beside_its_message_gets_none
        a_run_cannot_send_to_itself
        a_sent_message_cannot_be_consumed
        a_stale_commit_sends_its_message
        a_commit_sent_twice_sends_its_message_twice
        messages_of_one_commit_are_read_out_of_order
        a_sent_message_has_the_number_of_another
        a_message_bears_another_time
        a_commit_that_is_refused_at_once_with_others_takes_them_along
        messages_that_commits_send_at_once_are_lost
    }
    outbox {
        an_outbox_entry_changes_on_its_way
        outbox_entries_are_read_out_of_order
        equal_outbox_entries_are_taken_for_one
        an_outbox_entry_has_another_number_when_it_is_read_again
        the_outbox_ignores_its_limit
        a_delivered_entry_comes_back
        an_entry_delivered_twice_is_an_error
        an_outbox_number_is_used_again
        a_refused_commit_leaves_an_outbox_entry
        a_commit_sent_twice_doubles_its_outbox_entry
        the_outbox_entry_of_a_commit_without_events_is_lost
        an_ended_run_takes_its_outbox_entries_along
        many_outbox_entries_are_too_many_for_one_commit
        entries_committed_at_once_are_lost
    }
    statements {
        a_statement_on_a_table_that_does_not_exist_is_passed_over
        a_statement_is_not_carried_out
        a_value_of_a_statement_changes_on_its_way
        a_value_too_large_for_the_database_is_cut
        a_value_is_read_as_a_part_of_its_statement
        the_values_of_a_statement_are_taken_by_their_place_in_the_text
        a_value_that_is_not_given_counts_as_null
        another_number_of_rows_than_expected_is_accepted
        a_statement_that_fails_leaves_the_rest_of_its_commit
        a_refused_statement_refuses_its_neighbours
        a_refused_commit_carries_out_its_statement
        a_commit_sent_twice_repeats_its_statement
        a_statement_reaches_a_table_of_the_store
        two_statements_pass_for_one
        a_statement_of_another_kind_is_carried_out
        many_statements_are_too_many_for_one_commit
        a_statement_is_undone_by_reopening
    }
    listing {
        an_empty_store_lists_something
        older_runs_are_listed_first
        a_limit_is_ignored
        ended_runs_are_listed_as_open
        a_listing_of_one_run_shows_others
        a_free_run_is_shown_as_held
        an_ended_run_is_shown_as_held
        a_summary_lags_behind_its_log
        the_tail_has_gaps_or_repeats
        the_tail_ignores_its_limit
        runs_that_interleave_are_mixed_up
        a_refused_commit_leaves_a_leaf
    }
    snapshots {
        a_snapshot_that_nobody_kept_is_given
        a_snapshot_of_another_run_is_given
        an_older_snapshot_is_given
        a_snapshot_changes_on_its_way
        a_snapshot_moves_its_run
        another_snapshot_is_there_after_reopening
    }
    proofs {
        the_tree_is_not_that_of_the_events
        a_node_that_is_not_complete_has_a_hash
        a_proof_cannot_be_made_of_the_nodes
        leaves_are_not_the_events_in_the_order_of_their_commits
        a_signed_head_is_lost
        a_head_that_the_log_never_had_is_kept
        a_reopened_store_is_another_log
    }
    memories {
        a_memory_is_not_what_was_remembered
        a_memory_of_a_refused_commit_is_remembered
        a_memory_leaks_into_another_namespace
        what_held_is_not_told_from_what_was_known
        what_has_expired_is_recalled
        a_contradiction_is_lost
        a_forgotten_memory_is_there
        vectors_of_two_models_are_mixed
        what_is_pinned_does_not_come_first
        an_erased_text_is_there
        the_log_outside_of_runs_is_listed_as_a_run
    }
    holding {
        two_things_hold_of_a_subject_at_once
        what_became_known_last_does_not_hold
        a_memory_of_another_thing_is_superseded
        the_same_words_hold_twice
        what_became_known_later_is_told
        a_memory_whose_text_is_erased_is_recalled
        what_is_pinned_leaves_no_room_for_what_is_asked
    }
    quantity {
        many_runs_are_too_many_for_one_commit
        many_messages_are_too_many_for_one_commit
        a_commit_of_everything_is_cut
        a_run_among_many_is_never_given_out
    }
    races {
        runs_committing_at_once_lose_events
        two_commits_at_once_both_win
        one_commit_sent_many_times_at_once_is_doubled
        a_run_claimed_by_many_at_once_is_given_twice
        runs_claimed_by_many_at_once_are_given_twice
        a_message_sent_during_a_release_is_lost
        messages_sent_at_once_are_lost
        one_refused_commit_refuses_its_neighbours
    }
    reopening {
        events_are_gone_after_reopening
        payloads_are_gone_after_reopening
        messages_are_gone_after_reopening
        a_commit_is_doubled_after_reopening
        a_fence_starts_again_after_reopening
        leaf_numbers_start_again_after_reopening
        message_numbers_start_again_after_reopening
        a_wake_is_forgotten_after_reopening
        a_parent_is_forgotten_after_reopening
        sent_messages_are_gone_after_reopening
        outbox_entries_are_gone_after_reopening
        outbox_numbers_start_again_after_reopening
    }
}
