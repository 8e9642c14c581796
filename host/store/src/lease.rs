//! Leases: which node holds which rows, and how that ends.
//!
//! A row's lease names a node, and a node is alive while its own row says so. One heartbeat row per node thus keeps
//! thousands of leases, and the hot path writes no expiry times. A node that dies stops beating; another (or its own
//! next run) sees that and gives its rows back. Leases save work, correctness never rests on them (D2): every write
//! under a lease names the lease it was made under.

use std::time::Duration;

use hookyard_domain::{DeliveryId, EventId, NodeId, Timestamp};
use uuid::Uuid;

use super::{Db, Store, error::Error, in_transaction, on, statements as sql};

/// What a heartbeat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    Alive,
    /// Another node took this one for dead and released its leases: what is held in memory is no longer ours.
    DeclaredDead,
}

impl Store {
    /// A fresh id for this process.
    pub fn new_node_id(now: Timestamp) -> NodeId {
        NodeId::new_v7(now, rand::random())
    }

    /// Announces this node. On SQLite no other node can be alive, so what any earlier run held is given back at once.
    pub async fn register_node(&self, now: Timestamp, lease: Duration) -> Result<(), Error> {
        let me = self.node.as_uuid();
        if matches!(self.db, Db::Sqlite(_)) {
            let others: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_OTHER_NODES).bind(me).fetch_all(pool).await)?;
            for (other,) in others {
                self.release_node(NodeId::from_uuid(other)).await?;
            }
        }
        on!(self, |pool| sqlx::query(sql::REGISTER_NODE)
            .bind(me)
            .bind(now.as_micros())
            .bind(now.plus(lease).as_micros())
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Beats once, and gives back what dead nodes held.
    pub async fn keep_alive(&self, now: Timestamp, lease: Duration) -> Result<Liveness, Error> {
        let me = self.node.as_uuid();
        let alive = on!(self, |pool| sqlx::query(sql::KEEP_NODE_ALIVE)
            .bind(me)
            .bind(now.plus(lease).as_micros())
            .execute(pool)
            .await
            .map(|done| done.rows_affected() > 0))?;
        if !alive {
            return Ok(Liveness::DeclaredDead);
        }
        let dead: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_DEAD_NODES)
            .bind(now.as_micros())
            .bind(me)
            .fetch_all(pool)
            .await)?;
        for (node,) in dead {
            tracing::warn!(%node, "a node stopped beating; its work is given back");
            self.release_dead_node(node, now).await?;
        }
        on!(self, |pool| sqlx::query(sql::RELEASE_EVENTS_OF_NOBODY)
            .execute(pool)
            .await
            .map(drop))?;
        on!(self, |pool| sqlx::query(sql::RELEASE_DELIVERIES_OF_NOBODY)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(Liveness::Alive)
    }

    /// Gives back what a silent node holds, unless it has beaten since it was found silent.
    async fn release_dead_node(&self, node: Uuid, now: Timestamp) -> Result<(), Error> {
        in_transaction!(self, |transaction| {
            let removed = sqlx::query(sql::REMOVE_DEAD_NODE)
                .bind(node)
                .bind(now.as_micros())
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if removed > 0 {
                sqlx::query(sql::RELEASE_EVENTS_OF_NODE)
                    .bind(node)
                    .execute(&mut *transaction)
                    .await?;
                sqlx::query(sql::RELEASE_DELIVERIES_OF_NODE)
                    .bind(node)
                    .execute(&mut *transaction)
                    .await?;
            }
        });
        Ok(())
    }

    /// Gives back all that a node holds and forgets the node, in one transaction.
    pub async fn release_node(&self, node: NodeId) -> Result<(), Error> {
        let node = node.as_uuid();
        in_transaction!(self, |transaction| {
            sqlx::query(sql::RELEASE_EVENTS_OF_NODE)
                .bind(node)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(sql::RELEASE_DELIVERIES_OF_NODE)
                .bind(node)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(sql::REMOVE_NODE).bind(node).execute(&mut *transaction).await?;
        });
        Ok(())
    }

    /// The events leased to this node, for comparison with what it holds in memory.
    pub async fn leased_events(&self) -> Result<Vec<EventId>, Error> {
        let rows: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_LEASED_EVENTS)
            .bind(self.node.as_uuid())
            .fetch_all(pool)
            .await)?;
        Ok(rows.into_iter().map(|(id,)| EventId::from_uuid(id)).collect())
    }

    /// The deliveries leased to this node, for the same.
    pub async fn leased_deliveries(&self) -> Result<Vec<DeliveryId>, Error> {
        let rows: Vec<(Uuid,)> = on!(self, |pool| sqlx::query_as(sql::SELECT_LEASED_DELIVERIES)
            .bind(self.node.as_uuid())
            .fetch_all(pool)
            .await)?;
        Ok(rows.into_iter().map(|(id,)| DeliveryId::from_uuid(id)).collect())
    }
}
