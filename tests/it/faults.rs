//! Faults survived: a server that is down, killed, or out of disk; an interrupt; a second server.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Project, Said, Server, run};
use crate::journey::files;

/// A city large enough that a kill falls into the middle of something.
fn city(project: &Project, people: &str) -> String {
    run(&["synth", "--out", &project.text("city"), "--people", people, "--seed", "5"]).done();
    project.text("city")
}

fn pid(child: &std::process::Child) -> String {
    child.id().to_string()
}

#[test]
fn a_server_that_is_down_is_told_as_such() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    server.kill();
    let mut submit = project.agency("submit", "bank", &[&project.text("bank")]);
    let mut arguments = server.arguments(&project, "bank");
    arguments[3] = "1".into();
    let said = Said::of(&submit.args(arguments).output().unwrap());
    said.refused(75, "run the same command again");
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    project.encode("bank", &bank, "bank").done();
    // it takes connections, and says nothing
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut submit = project.agency("submit", "bank", &[&project.text("bank"), "--server", &url, "--wait", "2"]);
    let said = Said::of(&submit.args(crate::harness::tls(&project, "bank")).output().unwrap());
    said.refused(75, "run the same command again");
}

#[test]
fn an_interrupted_client_goes_on_where_it_stopped() {
    let project = Project::new();
    let city = city(&project, "6000");
    let (bank, office) = (format!("{city}/bank.csv"), format!("{city}/office.csv"));
    let server = project.server();
    project.encode("bank", &bank, "bank").done();
    let mut submit = project.agency("submit", "bank", &[&project.text("bank")]);
    interrupt(submit.args(server.arguments(&project, "bank")), 15);
    project.submit("bank", "bank", &server).done();

    let state = project.text("state");
    let files = |name: &str| project.text(name);
    let mut request = crate::harness::hedui();
    request.args(["office", "request", &office, "--state", &state, "--manifest", &files("manifest.toml")]);
    request.args(["--office", crate::harness::OFFICE, "--key-file", &files("linkage.key"), "--programme", "dibao"]);
    request.args(["--signing-key", &files("civil-affairs.signing.key"), "--item", "bank.deposits=L3"]);
    request.args(["--scope-letter", "B=bank"]).args(server.arguments(&project, crate::harness::OFFICE));
    interrupt(&mut request, 300);
    assert!(request.output().unwrap().status.success());
    let mut again = crate::harness::hedui();
    again.args(["office", "status", "--state", &state]).args(server.arguments(&project, crate::harness::OFFICE));
    let households = std::fs::read_to_string(&office).unwrap();
    let households: std::collections::BTreeSet<&str> = households
        .lines()
        .skip(1)
        .filter(|row| row.ends_with(",valid"))
        .filter_map(|row| row.rsplit(',').nth(4))
        .collect();
    let said = Said::of(&again.output().unwrap()).done();
    let filed: usize = said.stdout.split(' ').next().unwrap().parse().unwrap();
    assert!(filed <= households.len() && filed > households.len() / 2, "{filed} of {}", households.len());

    let mut fetch = crate::harness::hedui();
    fetch.args(["office", "fetch", "--state", &state]).args(server.arguments(&project, crate::harness::OFFICE));
    interrupt(&mut fetch, 60);
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    let reports = std::fs::read_dir(project.path("reports")).unwrap().count();
    assert_eq!(reports, 2 * filed, "one commission a household, none twice");
}

/// Starts a command, interrupts it after some milliseconds, and waits for its end.
fn interrupt(command: &mut Command, milliseconds: u64) {
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(milliseconds));
    Command::new("kill").args(["-INT", &pid(&child)]).status().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_server_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let project = Project::new();
    let city = city(&project, "4000");
    let (bank, vehicle, office) =
        (format!("{city}/bank.csv"), format!("{city}/vehicle.csv"), format!("{city}/office.csv"));
    let mut server = project.server();
    let address = server.address().to_owned();
    project.encode("bank", &bank, "bank").done();
    project.encode("vehicle", &vehicle, "vehicle").done();

    type Step<'s> = Box<dyn Fn(&Server) -> Said + Sync + 's>;
    let steps: Vec<(&str, Step<'_>)> = vec![
        ("submit bank", Box::new(|server| project.submit("bank", "bank", server))),
        ("submit vehicle", Box::new(|server| project.submit("vehicle", "vehicle", server))),
        ("request", Box::new(|server| project.office("request", server, &[&office]))),
        ("fetch", Box::new(|server| project.office("fetch", server, &[]))),
        ("answer vehicle", Box::new(|server| project.answer("vehicle", &vehicle, server))),
        ("answer bank", Box::new(|server| project.answer("bank", &bank, server))),
        ("fetch again", Box::new(|server| project.office("fetch", server, &[]))),
    ];
    for (number, (name, step)) in steps.iter().enumerate() {
        let moment = Duration::from_millis(20 + 37 * number as u64 % 160);
        let parties = server.parties.clone();
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                // the client knows the address; it does not know that the server dies
                let server =
                    Server { child: idle(), parties, operator: String::new(), log: project.path("unused.log") };
                step(&server)
            });
            std::thread::sleep(moment);
            server.kill();
            server = Server::start(&project, &address);
            let said = client.join().unwrap();
            assert_eq!(said.code, Some(0), "{name}, killed after {moment:?}: {}", said.stderr);
        });
    }
    project.office("report", &server, &[]).done();
    let reports = std::fs::read_dir(project.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let json = reports.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let texts: Vec<String> = json.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let count =
        |state: &str| texts.iter().map(|text| text.matches(&format!("\"state\": \"{state}\"")).count()).sum::<usize>();
    assert!(count("answered") > 50, "{} answered", count("answered"));
    assert_eq!((count("pending"), count("not-submitted")), (0, 0));
    assert!(!texts.iter().any(|text| text.contains("unopened")));
}

/// A child that stands for none.
fn idle() -> std::process::Child {
    Command::new("true").stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn an_interrupt_leaves_nothing_half_written() {
    let project = Project::new();
    let city = city(&project, "60000");
    for (milliseconds, signal) in [(30u64, "INT"), (250, "INT"), (450, "TERM"), (350, "HUP")] {
        let out = project.text("out");
        let mut child = project
            .agency("encode", "bank", &[&format!("{city}/bank.csv"), "--out", &out])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        Command::new("kill").args([&format!("-{signal}"), &pid(&child)]).status().unwrap();
        let code = child.wait().unwrap().code();
        let left: Vec<_> = std::fs::read_dir(project.folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
        match code {
            // before the handler was there, the signal ends the process itself
            Some(130) | None => assert!(!project.path("out").exists()),
            Some(0) => std::fs::remove_dir_all(project.path("out")).unwrap(),
            other => panic!("exit {other:?}"),
        }
    }
}

#[test]
fn what_a_killed_encoder_left_is_cleared_by_the_next() {
    let project = Project::new();
    let (_, bank, _) = files(&project);
    std::fs::create_dir(project.path(".out.partial")).unwrap();
    std::fs::write(project.path(".out.partial/part-00000.parquet"), b"torn").unwrap();
    project.encode("bank", &bank, "out").done();
    project.encode("bank", &bank, "out").refused(1, "exists already");
}

/// Runs a script with a file system of a few hundred KiB at `small`, in a mount namespace of its own.
fn with_little_room(project: &Project, kib: u32, script: &str) -> Said {
    let small = project.path("small");
    std::fs::create_dir_all(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size={kib}k none {} && {script}", small.display());
    Said::of(
        &Command::new("unshare").args(["-rm", "sh", "-c", &mount]).output().expect("unshare (util-linux) is there"),
    )
}

#[test]
fn a_full_disk_at_the_agency_is_told_and_leaves_nothing() {
    let project = Project::new();
    let city = city(&project, "4000");
    let encode = format!(
        "{} agency encode {city}/bank.csv --manifest {} --agency bank --key-file {} --signing-key {} --out {}; code=$?; ls -A {}; exit $code",
        env!("CARGO_BIN_EXE_hedui"),
        project.text("manifest.toml"),
        project.text("linkage.key"),
        project.text("bank.signing.key"),
        project.text("small/out"),
        project.text("small"),
    );
    let said = with_little_room(&project, 300, &encode).refused(75, "no space left");
    assert_eq!(said.stdout, "", "nothing is left behind");
}

#[test]
fn a_full_disk_at_the_server_is_told_and_the_same_batch_goes_through_later() {
    let project = Project::new();
    let city = city(&project, "4000");
    project.encode("bank", &format!("{city}/bank.csv"), "bank").done();
    let data = project.text("small/server");
    let (tls, client) =
        (crate::harness::tls(&project, "server").join(" "), crate::harness::tls(&project, "bank").join(" "));
    let hedui = env!("CARGO_BIN_EXE_hedui");
    let (manifest, folder, ready) = (project.text("manifest.toml"), project.text("bank"), project.text("ready.json"));
    let small = project.text("small");
    let script = format!(
        "{hedui} server run --data {data} --manifest {manifest} --listen 127.0.0.1:0 --operator-listen 127.0.0.1:0 {tls} > {ready} 2>/dev/null & \
         server=$!; while ! [ -s {ready} ]; do sleep 0.05; done; \
         url=https://$(sed 's/.*\"parties\":\"\\([^\"]*\\)\".*/\\1/' {ready}); \
         {hedui} agency submit {folder} --server $url --wait 2 {client}; first=$?; \
         mount -o remount,size=200m {small}; \
         {hedui} agency submit {folder} --server $url --wait 20 {client}; second=$?; \
         kill $server; echo \"first $first second $second\""
    );
    let said = with_little_room(&project, 1200, &script).done();
    assert!(said.stderr.contains("the server's disk is full; nothing was stored"), "{}", said.stderr);
    assert!(said.stdout.contains("first 75 second 0"), "{} {}", said.stdout, said.stderr);
}

#[test]
fn one_server_a_folder_and_one_manifest_a_folder() {
    let project = Project::new();
    let server = project.server();
    let start = |manifest: &str| {
        let mut arguments: Vec<String> =
            ["server", "run", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend(["--data".into(), project.text("server"), "--manifest".into(), project.text(manifest)]);
        arguments.extend(crate::harness::tls(&project, "server"));
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    start("manifest.toml").refused(1, "another server runs on this folder");
    drop(server);
    let check = run(&["key", "show", "--kind", "linkage", &project.text("linkage.key")]).done().stdout;
    project.manifest("second.toml", "2026-12", check.trim()).done();
    start("second.toml").refused(1, "holds the data of manifest");
}

#[test]
fn a_damaged_index_is_noticed_and_built_anew() {
    let project = Project::new();
    let (office, bank, _) = files(&project);
    let mut server = project.server();
    project.encode("bank", &bank, "bank").done();
    project.submit("bank", "bank", &server).done();
    server.kill();
    let index = std::fs::read_dir(project.path("server/index")).unwrap().next().unwrap().unwrap().path();
    for (file, damage) in [("tokens", 5usize), ("rows", 40), ("prefilter", 60)] {
        let mut bytes = std::fs::read(index.join(file)).unwrap();
        bytes[damage] ^= 1;
        std::fs::write(index.join(file), bytes).unwrap();
        let mut again = project.server();
        let log = std::fs::read_to_string(&again.log).unwrap();
        assert!(log.contains(&format!("`{file}` has another checksum")), "{log}");
        again.kill();
    }
    let server = project.server();
    project.office("request", &server, &[&office]).done();
    project.office("fetch", &server, &[]).done();
    project.office("report", &server, &[]).done();
    assert_eq!(project.report("H1")["members"][0]["agencies"][0]["state"], "answered");
}
