//! `docker-compose.yml` and what it mounts, as far as that can be tried without Docker.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use pgweir::config::settings::Host;
use pgweir::config::{self, Settings, Sources};
use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::cluster::{APP, Cluster, free_port};
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::{Client, Login};
use crate::harness::{direct_only, eventually};

const SERVICES: [&str; 9] = [
    "grafana",
    "partition-1",
    "partition-2",
    "pgweir",
    "primary",
    "prometheus",
    "replica-1",
    "replica-2",
    "valkey",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn yaml(path: &str) -> Yaml {
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}")).remove(0)
}

/// A key of a service, its own or one that it shares by `<<`.
fn key<'a>(service: &'a Yaml, name: &str) -> &'a Yaml {
    let own = &service[name];
    if own.is_badvalue() && !service["<<"].is_badvalue() { key(&service["<<"], name) } else { own }
}

/// The texts of a list; none where there is no list.
fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

fn names(map: &Yaml) -> BTreeSet<&str> {
    map.as_hash().into_iter().flat_map(|map| map.keys()).map(|name| name.as_str().expect("a name")).collect()
}

fn settings() -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/pgweir.toml");
    let sources = Sources { file: Some(file), ..Sources::default() };
    config::load(&sources).unwrap_or_else(|errors| panic!("docker/pgweir.toml: {errors:?}"))
}

#[test]
fn services_are_complete() {
    let compose = yaml("docker-compose.yml");
    let services = &compose["services"];
    assert_eq!(names(services), SERVICES.into());
    let volumes = names(&compose["volumes"]);
    let mut ports = BTreeSet::new();
    for name in SERVICES {
        let service = &services[name];
        match key(service, "image").as_str() {
            Some(image) => {
                let tag = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag")).1;
                assert!(tag.contains(|c: char| c.is_ascii_digit()), "{image} is not pinned");
            }
            None => {
                assert_eq!(service["build"].as_str(), Some("."), "{name} is neither an image nor built here")
            }
        }
        for mount in texts(key(service, "volumes")) {
            let (from, to) = mount.split_once(':').expect("from:to");
            assert!(to.starts_with('/'), "{mount}");
            let there = if from.starts_with("./") {
                Path::new(env!("CARGO_MANIFEST_DIR")).join(from).exists()
            } else {
                volumes.contains(from)
            };
            assert!(there, "{name}: {mount}: there is no {from}");
        }
        for port in texts(key(service, "ports")) {
            assert!(
                port.starts_with("127.0.0.1:"),
                "{name}: {port} is open to the network, with known passwords"
            );
            assert!(ports.insert(port), "{port} twice");
        }
        for needed in names(key(service, "depends_on")) {
            assert!(SERVICES.contains(&needed), "{name} depends on {needed}");
            assert!(
                !key(&services[needed], "healthcheck").is_badvalue(),
                "{needed} never tells that it is healthy"
            );
        }
    }
}

#[test]
fn pgweir_is_where_the_others_look_for_it() {
    let compose = yaml("docker-compose.yml");
    let service = &compose["services"]["pgweir"];
    let command = texts(&service["command"]);
    let file = command.last().expect("a file");
    assert!(texts(&service["volumes"]).contains(&format!("./docker/pgweir.toml:{file}:ro").as_str()));
    let settings = settings();
    let http = settings.http_listen.expect("HTTP is on").port();
    for port in [settings.listen[0].port(), http] {
        assert!(texts(&service["ports"]).contains(&format!("127.0.0.1:{port}:{port}").as_str()), "{port}");
    }
    for database in settings.databases.values() {
        for host in &database.hosts {
            let Host::Tcp(name, 5432) = host else { panic!("{host:?} is no service") };
            assert!(SERVICES.contains(&name.as_str()), "{name} is no service");
        }
    }
    let targets = &yaml("docker/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"];
    assert_eq!(texts(targets), [format!("pgweir:{http}")]);
    let url = &yaml("docker/grafana/datasource.yml")["datasources"][0]["url"];
    assert_eq!(url.as_str(), Some("http://prometheus:9090"));
    assert_eq!(settings.databases["shop"].hosts.len(), 3);
}

/// The check of health is a command in pgweir's image: it succeeds where pgweir is, and fails where nothing is.
#[test]
fn the_health_check_tells() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let http = format!("127.0.0.1:{}", free_port());
    let mut options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=1"));
    options.args.extend(["--http".to_owned(), http.clone()]);
    let compose = yaml("docker-compose.yml");
    let command = texts(&compose["services"]["pgweir"]["healthcheck"]["test"]);
    let [kind, program, arguments @ ..] = command.as_slice() else { panic!("{command:?}") };
    assert_eq!(*kind, "CMD");
    let here = http.replace(':', "/");
    let arguments = arguments.iter().map(|text| text.replace("127.0.0.1/6433", &here));
    let arguments: Vec<String> = arguments.collect();
    assert!(arguments.iter().any(|text| text.contains(&here)), "{arguments:?} look elsewhere");
    let healthy = || Command::new(program).args(&arguments).output().expect("bash runs").status.success();
    assert!(!healthy(), "nothing listens yet");
    let proxy = Proxy::start_with(&options);
    eventually("it is healthy", healthy);
    drop(proxy);
    assert!(!healthy(), "it is stopped");
}

/// Metrics of the guide with their labels.
fn metrics() -> BTreeMap<String, Vec<String>> {
    let page = read("docs/guide/metrics.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("| `pgweir_"));
    let metric = |line: &str| {
        let mut cells = line.split(" | ");
        let name = format!("pgweir_{}", cells.next()?.trim_end_matches('`'));
        let labels = cells.nth(1)?.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        Some((name, labels.collect()))
    };
    lines.filter_map(metric).collect()
}

/// Words of an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let text = read("docker/grafana/pgweir.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let known = metrics();
    assert!(known.len() > 60, "{known:?}");
    let named: BTreeSet<&str> = words(&text).filter(|word| word.starts_with("pgweir_")).collect();
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains_key(**name)).collect();
    assert!(unknown.is_empty(), "no metrics: {unknown:?}");
    assert!(named.len() > 30, "{} metrics are shown", named.len());
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is another's");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        for place in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(place.0 < 24 && places.insert(place), "{title} lies on another");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["description"].is_string() && panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            let metrics: Vec<_> = words(query).filter_map(|word| known.get(word)).collect();
            assert!(!metrics.is_empty(), "{query}");
            let by = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
            let within = query.split('{').skip(1).filter_map(|rest| rest.split('}').next());
            let within =
                within.flat_map(|labels| labels.split(',')).filter_map(|label| label.split('=').next());
            let shown = target["legendFormat"].as_str().unwrap_or_default().split("{{").skip(1);
            let shown = shown.filter_map(|rest| rest.split("}}").next());
            for label in by.flat_map(|labels| labels.split(',')).chain(within).chain(shown) {
                let label = label.trim();
                let has = |labels: &&Vec<String>| labels.iter().any(|known| known == label);
                assert!(metrics.iter().all(has), "{query}: no label {label}");
            }
        }
    }
}

/// Else it would be built without the profile.
#[test]
fn the_image_is_built_with_the_rust_of_the_profile() {
    let compiler = read("benches/profile/rustc.txt");
    let version = compiler.lines().find_map(|line| line.strip_prefix("release: ")).expect("its version");
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "the profile is one of Rust {version}");
    let numbers =
        |version: &str| version.split('.').map(|part| part.parse().expect("a number")).collect::<Vec<u32>>();
    assert!(numbers(version) >= numbers(env!("CARGO_PKG_RUST_VERSION")), "{version}");
    assert!(read(".dockerignore").lines().any(|line| line == "target"));
}

#[test]
fn scripts_are_well_formed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own =
        std::fs::read_dir(folder.join("scripts")).expect("scripts").map(|entry| entry.expect("one").path());
    let of_docker =
        ["docker/replica.sh", "docker/primary/20-replication.sh"].map(|script| folder.join(script));
    for path in own.chain(of_docker) {
        let script = path.display().to_string();
        let output = Command::new("bash").arg("-n").arg(&path).output().expect("bash runs");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The statements of a script, but for roles, which the test's cluster has already.
fn statements(path: &str) -> String {
    let text = read(path);
    text.lines().filter(|line| !line.starts_with("create role ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn orders_are_on_the_partition_servers() {
    let cluster = Cluster::start("", &[]);
    cluster.superuser("postgres").run("create database coordinator");
    let partitions = ["partition_1", "partition_2"];
    for name in partitions {
        cluster.superuser("postgres").run(&format!("create database {name}"));
        cluster.superuser(name).run(&statements("docker/partition/10-orders.sql"));
    }
    let mut coordinator = cluster.superuser("coordinator");
    coordinator.run(&statements("docker/primary/10-roles.sql"));
    coordinator.run(&statements("docker/primary/30-partitions.sql"));
    for name in partitions {
        let port = cluster.port;
        coordinator.run(&format!(
            "alter server {name} options (set host '127.0.0.1', add port '{port}', set dbname '{name}')"
        ));
    }
    let mut client = Client::connect(&cluster.tcp(), &Login::new(APP.0, APP.1, "coordinator"));
    client
        .run("insert into orders (customer, number, cents) select i, 1, 100 from generate_series(1, 100) i");
    assert_eq!(client.value("select sum(cents) from orders"), "10000");
    let rows = partitions.map(|name| {
        let rows = cluster.superuser(name).value("select count(*) from orders");
        rows.parse::<u32>().expect("a number")
    });
    assert_eq!(rows[0] + rows[1], 100);
    assert!(rows[0] > 0 && rows[1] > 0, "{rows:?}");
}
