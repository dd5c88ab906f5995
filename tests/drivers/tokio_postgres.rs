//! tokio-postgres.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, future};
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use super::{CLIENTS, Target, block_on, directly_and_through_pgweir};

/// A client, and the notifications that it hears.
async fn connect(target: &Target) -> (Client, mpsc::UnboundedReceiver<String>) {
    let (client, mut connection) = tokio_postgres::connect(&target.url(), NoTls).await.expect("a connection");
    let (heard, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |cx| connection.poll_message(cx));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(n) = message {
                let _ = heard.send(n.payload().to_string());
            }
        }
    });
    (client, receiver)
}

#[test]
fn parameters_and_simple_queries() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (client, _) = connect(target).await;
            let row = client
                .query_one("select $1::int, $2::text, $3::int8[]", &[&1i32, &"x'y", &vec![1i64, 2]])
                .await
                .expect("a row");
            assert_eq!(
                (row.get::<_, i32>(0), row.get::<_, &str>(1), row.get::<_, Vec<i64>>(2)),
                (1, "x'y", vec![1, 2])
            );
            let messages = client
                .simple_query("select 1; select 2 where false; create table t (i int)")
                .await
                .expect("results");
            let rows = messages.iter().filter(|m| matches!(m, SimpleQueryMessage::Row(_))).count();
            let ends =
                messages.iter().filter(|m| matches!(m, SimpleQueryMessage::CommandComplete(_))).count();
            assert_eq!((rows, ends), (1, 3));
        });
    });
}

#[test]
fn prepared_statements_of_many_clients() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let clients = future::join_all((0..CLIENTS).map(|_| connect(target))).await;
            let work = clients.iter().enumerate().map(|(n, (client, _))| async move {
                let sum = client.prepare("select $1::int4 + $2::int4").await.expect("a statement");
                let own = client.prepare(&format!("select {n}::int4 * $1::int4")).await.expect("a statement");
                for i in 0..30i32 {
                    let n = n as i32;
                    assert_eq!(
                        client.query_one(&sum, &[&n, &i]).await.expect("a row").get::<_, i32>(0),
                        n + i
                    );
                    assert_eq!(client.query_one(&own, &[&i]).await.expect("a row").get::<_, i32>(0), n * i);
                }
            });
            future::join_all(work).await;
        });
    });
}

#[test]
fn pipelined_queries() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (client, _) = connect(target).await;
            let statement = client.prepare("select 10 / $1::int4").await.expect("a statement");
            let parameters: Vec<i32> = (0..100).collect();
            let results = future::join_all(
                parameters.iter().map(|i| async { client.query_one(&statement, &[i]).await }),
            )
            .await;
            for (i, result) in results.iter().enumerate() {
                match result {
                    Ok(row) => assert_eq!(row.get::<_, i32>(0), 10 / i as i32),
                    Err(e) => assert_eq!((i, e.code()), (0, Some(&SqlState::DIVISION_BY_ZERO))),
                }
            }
        });
    });
}

#[test]
fn transactions_and_portals() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (mut client, _) = connect(target).await;
            client.batch_execute("create table t (i int)").await.expect("a table");
            let mut tx = client.transaction().await.expect("a transaction");
            tx.execute("insert into t values ($1)", &[&1i32]).await.expect("a row");
            let inner = tx.savepoint("s").await.expect("a savepoint");
            inner.execute("insert into t values ($1)", &[&2i32]).await.expect("a row");
            inner.rollback().await.expect("a rollback");
            let portal = tx.bind("select generate_series(1, $1::int4)", &[&25i32]).await.expect("a portal");
            let mut sizes = Vec::new();
            loop {
                let rows = tx.query_portal(&portal, 10).await.expect("rows");
                sizes.push(rows.len());
                if rows.len() < 10 {
                    break;
                }
            }
            assert_eq!(sizes, [10, 10, 5]);
            tx.commit().await.expect("a commit");
            drop(client.transaction().await.expect("a transaction that is dropped"));
            let count = client.query_one("select count(*) from t", &[]).await.expect("a row");
            assert_eq!(count.get::<_, i64>(0), 1);
        });
    });
}

/// More transactions than servers have begun, by prepared statements, and somebody else works meanwhile.
#[test]
fn transactions_that_have_only_begun() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let clients = future::join_all((0..CLIENTS).map(|_| connect(target))).await;
            let (other, _) = connect(target).await;
            other.batch_execute("create table t (i int)").await.expect("a table");
            for (client, _) in &clients {
                client.execute("BEGIN", &[]).await.expect("it begins");
            }
            for (n, (client, _)) in clients.iter().enumerate() {
                let count = other.query_one("select count(*) from t", &[]).await.expect("a row");
                assert_eq!(count.get::<_, i64>(0), n as i64 / 2);
                client.execute("insert into t values ($1)", &[&(n as i32)]).await.expect("a row");
                client.execute(if n % 2 == 0 { "ROLLBACK" } else { "COMMIT" }, &[]).await.expect("it ends");
            }
        });
    });
}

#[test]
fn copy() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (client, _) = connect(target).await;
            client.batch_execute("create table t (i int, s text)").await.expect("a table");
            let sink = client.copy_in("copy t from stdin").await.expect("a sink");
            futures_util::pin_mut!(sink);
            for i in 0..1000 {
                sink.send(Bytes::from(format!("{i}\trow {i}\n"))).await.expect("it is taken");
            }
            assert_eq!(sink.finish().await.expect("an end"), 1000);
            let given_up = client.copy_in::<_, Bytes>("copy t from stdin").await.expect("a sink");
            drop(given_up);
            let out = client
                .copy_out("copy (select i from t where i < 3 order by i) to stdout")
                .await
                .expect("a stream");
            let chunks: Vec<Bytes> = out.try_collect().await.expect("data");
            assert_eq!(chunks.concat(), b"0\n1\n2\n");
            let count = client.query_one("select count(*) from t", &[]).await.expect("a row");
            assert_eq!(count.get::<_, i64>(0), 1000);
        });
    });
}

#[test]
fn notifications() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (listener, mut heard) = connect(target).await;
            let (sender, _) = connect(target).await;
            listener.batch_execute("listen ch").await.expect("it listens");
            for i in 0..5 {
                sender.execute("select pg_notify('ch', $1)", &[&i.to_string()]).await.expect("it is sent");
            }
            for i in 0..5 {
                let payload =
                    tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.expect("in time");
                assert_eq!(payload, Some(i.to_string()));
            }
        });
    });
}

#[test]
fn cancel() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (client, _) = connect(target).await;
            let token = client.cancel_token();
            let sleep = client.batch_execute("select pg_sleep(60)");
            let cancel = async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                token.cancel_query(NoTls).await.expect("it is sent");
            };
            let (result, ()) = future::join(sleep, cancel).await;
            assert_eq!(result.expect_err("it was cancelled").code(), Some(&SqlState::QUERY_CANCELED));
            client.batch_execute("select 1").await.expect("it is alive");
        });
    });
}

#[test]
fn errors() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let (client, _) = connect(target).await;
            client
                .batch_execute("create table t (i int primary key); insert into t values (1)")
                .await
                .expect("a table");
            let duplicate =
                client.execute("insert into t values ($1)", &[&1i32]).await.expect_err("a duplicate");
            assert_eq!(duplicate.code(), Some(&SqlState::UNIQUE_VIOLATION));
            assert_eq!(duplicate.as_db_error().and_then(|e| e.table()), Some("t"));
            let syntax = client.prepare("selec").await.expect_err("no syntax");
            assert_eq!(syntax.code(), Some(&SqlState::SYNTAX_ERROR));
            client.batch_execute("select 1").await.expect("it is alive");
        });
    });
}
