//! sqlx.

use std::time::Duration;

use futures_util::{TryStreamExt as _, future};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Acquire as _, Executor as _, Row as _};

use super::{CLIENTS, Target, block_on, directly_and_through_pgweir};

async fn pool(target: &Target) -> PgPool {
    let options =
        PgPoolOptions::new().max_connections(CLIENTS as u32).acquire_timeout(Duration::from_secs(30));
    options.connect(&target.url()).await.expect("a pool")
}

#[test]
fn parameters_of_many_clients() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let pool = pool(target).await;
            let work = (0..CLIENTS as i32 * 2).map(|n| {
                let pool = &pool;
                async move {
                    for i in 0..30 {
                        let row = sqlx::query("select $1 + $2, $3::text")
                            .bind(n)
                            .bind(i)
                            .bind(format!("{n}'{i}"))
                            .fetch_one(pool)
                            .await
                            .expect("a row");
                        assert_eq!(
                            (row.get::<i32, _>(0), row.get::<String, _>(1)),
                            (n + i, format!("{n}'{i}"))
                        );
                    }
                }
            });
            future::join_all(work).await;
            pool.close().await;
        });
    });
}

#[test]
fn transactions() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let pool = pool(target).await;
            pool.execute("create table t (i int)").await.expect("a table");
            let mut tx = pool.begin().await.expect("a transaction");
            sqlx::query("insert into t values ($1)").bind(1).execute(&mut *tx).await.expect("a row");
            let mut inner = tx.begin().await.expect("a savepoint");
            sqlx::query("insert into t values ($1)").bind(2).execute(&mut *inner).await.expect("a row");
            inner.rollback().await.expect("a rollback");
            tx.commit().await.expect("a commit");
            let mut dropped = pool.begin().await.expect("a transaction");
            sqlx::query("insert into t values ($1)").bind(3).execute(&mut *dropped).await.expect("a row");
            drop(dropped);
            let rows: Vec<i32> = sqlx::query_scalar("select i from t").fetch_all(&pool).await.expect("rows");
            assert_eq!(rows, [1]);
            pool.close().await;
        });
    });
}

#[test]
fn errors() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let pool = pool(target).await;
            pool.execute("create table t (i int primary key); insert into t values (1)")
                .await
                .expect("a table");
            let code = |e: sqlx::Error| e.as_database_error().and_then(|e| e.code()).map(|c| c.to_string());
            let duplicate = sqlx::query("insert into t values ($1)")
                .bind(1)
                .execute(&pool)
                .await
                .expect_err("a duplicate");
            assert_eq!(code(duplicate).as_deref(), Some("23505"));
            let syntax = sqlx::query("selec").execute(&pool).await.expect_err("no syntax");
            assert_eq!(code(syntax).as_deref(), Some("42601"));
            let missing =
                sqlx::query("select * from no_such_table").fetch_all(&pool).await.expect_err("no table");
            assert_eq!(code(missing).as_deref(), Some("42P01"));
            let one: i32 = sqlx::query_scalar("select 1").fetch_one(&pool).await.expect("it is alive");
            assert_eq!(one, 1);
            pool.close().await;
        });
    });
}

#[test]
fn copy_and_streams() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let pool = pool(target).await;
            pool.execute("create table t (i int)").await.expect("a table");
            let mut client = pool.acquire().await.expect("a client");
            let mut sink = client.copy_in_raw("copy t from stdin").await.expect("a sink");
            let rows: String = (0..1000).map(|i| format!("{i}\n")).collect();
            sink.send(rows.as_bytes()).await.expect("it is taken");
            assert_eq!(sink.finish().await.expect("an end"), 1000);
            let out = client
                .copy_out_raw("copy (select i from t where i < 3 order by i) to stdout")
                .await
                .expect("a stream");
            let chunks: Vec<bytes::Bytes> = out.try_collect().await.expect("data");
            assert_eq!(chunks.concat(), b"0\n1\n2\n");
            let mut stream = sqlx::query("select i from t order by i").fetch(&mut *client);
            let first = stream.try_next().await.expect("a row").expect("a row");
            assert_eq!(first.get::<i32, _>(0), 0);
            drop(stream);
            let count: i64 =
                sqlx::query_scalar("select count(*) from t").fetch_one(&mut *client).await.expect("a row");
            assert_eq!(count, 1000);
            drop(client);
            pool.close().await;
        });
    });
}

#[test]
fn notifications() {
    directly_and_through_pgweir(|target| {
        block_on(async {
            let pool = pool(target).await;
            let mut listener = PgListener::connect_with(&pool).await.expect("a listener");
            listener.listen("ch").await.expect("it listens");
            for i in 0..5 {
                sqlx::query("select pg_notify('ch', $1)")
                    .bind(i.to_string())
                    .execute(&pool)
                    .await
                    .expect("it is sent");
            }
            for i in 0..5 {
                let heard =
                    tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.expect("in time");
                assert_eq!(heard.expect("a notification").payload(), i.to_string());
            }
            drop(listener);
            pool.close().await;
        });
    });
}
