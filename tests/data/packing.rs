//! Packing: same bytes for any number of threads, refusals, labels, reports, and the way back through unpack.

use super::common::*;
use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::plan::PlanOptions;
use imagenet_engine::data::resize::Fit;
use imagenet_engine::data::{Dataset, Split};
use std::collections::BTreeMap;

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in");
    tree(&input, 5, 9, 40, 1);
    for name in ["yuv420.jpg", "progressive.jpg", "cmyk.jpg", "gray.jpg", "bad_half.jpg"] {
        std::fs::copy(golden(name), input.join("class01").join(name)).unwrap();
    }
    let pack = |jobs: usize, fit| {
        let out = tmp.path().join(format!("out{jobs}{fit:?}"));
        let base = options(&input, &out);
        let report = run(&imagenet_engine::data::pack::PackOptions {
            jobs,
            on_bad: OnBad::Skip,
            plan: PlanOptions { fit, ..base.plan.clone() },
            ..base
        });
        assert_eq!(report.unwrap().bad.len(), 1);
        files(&out)
    };
    for fit in [Fit::Short, Fit::Square] {
        let one = pack(1, fit);
        assert_eq!(one.keys().filter(|k| k.ends_with(".ies")).count(), 50usize.div_ceil(8));
        assert!(one.keys().all(|k| !k.contains("tmp") && !k.contains("lock")), "{:?}", one.keys());
        assert!(pack(2, fit) == one && pack(5, fit) == one, "bytes depend on --jobs");
    }
    // The comparison can fail: another seed of the stored order gives other bytes.
    let base = options(&input, &tmp.path().join("other"));
    let plan = PlanOptions { shuffle_seed: Some(9), ..base.plan.clone() };
    run(&imagenet_engine::data::pack::PackOptions { on_bad: OnBad::Skip, plan, ..base }).unwrap();
    assert!(files(&tmp.path().join("other")) != files(&tmp.path().join("out1Short")));
}

#[test]
fn labels_depth_extensions_and_order() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in/val");
    for (path, file) in [
        ("zebra/deep/er/a.JPEG", "yuv420.jpg"),
        ("Ant/b.JpG", "gray.jpg"),
        ("Ant/c.png", "rgb.png"),
        ("mole/named_wrongly.jpeg", "rgba.png"),
        ("mole/notes.txt", "make.py"),
    ] {
        let to = input.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(golden(file), to).unwrap();
    }
    std::fs::create_dir_all(input.join("empty")).unwrap();
    let base = options(&tmp.path().join("in"), &tmp.path().join("out"));
    let report =
        run(&imagenet_engine::data::pack::PackOptions { plan: PlanOptions { size: 32, ..PlanOptions::new(Split::Val) }, ..base }).unwrap();
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    let dataset = Dataset::open(&tmp.path().join("out")).unwrap();
    assert_eq!(dataset.classes(), ["Ant", "empty", "mole", "zebra"]);
    let records: Vec<_> = (0..dataset.len()).map(|i| dataset.record(i).unwrap()).map(|p| (p.global_id, p.label, p.name)).collect();
    assert_eq!(records, [(0, 0, "Ant/b.jpg"), (1, 0, "Ant/c.png"), (2, 2, "mole/named_wrongly.jpg"), (3, 3, "zebra/deep/er/a.jpg")]);
    // Measured mean and deviation, against plain floating point.
    let all: Vec<u8> = (0..4).flat_map(|i| dataset.record(i).unwrap().pixels.to_vec()).collect();
    for c in 0..3 {
        let v: Vec<f64> = all.iter().skip(c).step_by(3).map(|&x| f64::from(x) / 255.0).collect();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let std = (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        assert!((dataset.mean()[c] - mean).abs() < 1e-9 && (dataset.std()[c] - std).abs() < 1e-9);
    }
}

#[test]
fn refusals_name_their_reason() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    let (i, o) = (input.to_str().unwrap(), out.to_str().unwrap());
    let (code, text) = call(&["pack", "--input", i, "--output", o]);
    assert!(code == 65 && text.contains("no such folder") && !out.exists(), "{text}");
    std::fs::create_dir_all(&input).unwrap();
    std::fs::copy(golden("rgb.png"), input.join("a.png")).unwrap();
    let (code, text) = call(&["pack", "--input", i, "--output", o]);
    assert!(code == 65 && text.contains("no class folders") && text.contains("next:"), "{text}");
    tree(&input, 2, 3, 20, 1);
    for (args, words) in [
        (&["--quality", "90"][..], "--encoding jpeg"),
        (&["--encoding", "jpeg", "--quality", "101"], "from 1 to 100"),
        (&["--encoding", "jpeg", "--max-side", "500", "--resize", "256"], "one of them"),
        (&["--fit", "square", "--resize", "0"], "needs a size"),
        (&["--resize", "100000"], "from 0 to 8,191"),
        (&["--records-per-shard", "0"], "from 1"),
        (&["--max-size", "0"], "max-size"),
        (&["--on-bad", "limit=2"], "fraction from 0 to 1"),
    ] {
        let (code, text) = call(&[&["pack", "--input", i, "--output", o], args].concat());
        assert!(code == 2 && text.contains(words), "{args:?}: {code} {text}");
    }
    assert_eq!(call(&["pack", "--input", i, "--output", o]).0, 0);
    let before = files(&out);
    let (code, text) = call(&["pack", "--input", i, "--output", o]);
    assert!(code == 73 && text.contains("refusing to overwrite") && files(&out) == before, "{text}");
    // The parent folder holds no data set, and the error says where one is.
    std::fs::rename(&out, tmp.path().join("val")).unwrap();
    let (code, text) = call(&["inspect", tmp.path().to_str().unwrap()]);
    assert!(code == 65 && text.contains(tmp.path().join("val").to_str().unwrap()), "{text}");
}

#[test]
fn bad_pictures_follow_on_bad() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in");
    tree(&input, 2, 20, 20, 1);
    for (to, from) in [("class00/p0003x.jpg", "bad_half.jpg"), ("class01/p0007x.jpg", "bad_progressive.jpg")] {
        std::fs::copy(golden(from), input.join(to)).unwrap();
    }
    let i = input.to_str().unwrap();
    let lines = |out: &std::path::Path| std::fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    for (mode, code, listed, complete) in
        [("fail", 65, 1, false), ("limit=0.04", 65, 2, false), ("limit=0.05", 3, 2, true), ("skip", 3, 2, true)]
    {
        let out = tmp.path().join(mode);
        let (got, text) =
            call(&["pack", "--input", i, "--output", out.to_str().unwrap(), "--split", "val", "--resize", "16", "--on-bad", mode]);
        assert_eq!((got, out.join("dataset.json").exists()), (code, complete), "{mode}: {text}");
        let report: Vec<BTreeMap<String, serde_json::Value>> = lines(&out).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(report.len(), listed, "{mode}");
        assert_eq!(report[0]["path"], "class00/p0003x.jpg");
        assert!(report[0]["error"].as_str().unwrap().contains("cut short") && report[0]["sha256"].as_str().unwrap().len() == 64);
        assert_eq!(report[0]["action"], if complete { "skipped" } else { "failed" });
        assert!(complete || text.contains("p0003x.jpg") && text.contains("bad_images.jsonl"), "{text}");
    }
    let dataset = Dataset::open(&tmp.path().join("skip")).unwrap();
    let ids: Vec<u64> = (0..dataset.len()).map(|i| dataset.describe(i).unwrap().global_id).collect();
    assert_eq!(ids.len(), 40);
    assert!(ids.windows(2).all(|w| w[0] < w[1]) && !ids.contains(&4), "the id of a picture left out stays empty: {ids:?}");
    // More tolerance afterwards goes on with the shards that are there.
    let out = tmp.path().join("limit=0.04");
    let (code, text) =
        call(&["pack", "--input", i, "--output", out.to_str().unwrap(), "--split", "val", "--resize", "16", "--on-bad", "skip"]);
    assert!(code == 3 && text.contains("earlier run") && files(&out) == files(&tmp.path().join("skip")), "{text}");
}

#[test]
fn unpack_gives_the_pictures_back_and_the_sheet_is_a_picture() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out, back) = (tmp.path().join("in"), tmp.path().join("out"), tmp.path().join("back"));
    tree(&input, 3, 5, 30, 4);
    std::fs::copy(golden("gray.jpg"), input.join("class00/a,b.jpg")).unwrap();
    let base = options(&input, &out);
    run(&imagenet_engine::data::pack::PackOptions { plan: PlanOptions { size: 0, ..base.plan.clone() }, ..base }).unwrap();
    let (o, b) = (out.to_str().unwrap(), back.to_str().unwrap());
    assert_eq!(call(&["unpack", o, "--output", b]).0, 0);
    let dataset = Dataset::open(&out).unwrap();
    let csv = std::fs::read_to_string(back.join("index.csv")).unwrap();
    assert_eq!(csv.lines().count(), 17);
    for (i, line) in csv.lines().skip(1).enumerate() {
        let picture = dataset.record(i).unwrap();
        let mut fields = line.splitn(3, ',');
        assert_eq!(fields.next().unwrap(), picture.global_id.to_string());
        assert_eq!(fields.next().unwrap(), picture.label.to_string());
        let path = fields.next().unwrap().trim_matches('"');
        let decode = |p: std::path::PathBuf| imagenet_engine::data::decode::decode(&std::fs::read(p).unwrap(), 1 << 20).unwrap().pixels;
        assert_eq!(decode(back.join(path)), *picture.pixels, "{path}");
        assert_eq!(decode(input.join(picture.name)), *picture.pixels, "{path}");
    }
    assert_eq!(call(&["unpack", o, "--output", b]).0, 73, "an index is not overwritten");
    let limited = tmp.path().join("limited");
    assert_eq!(call(&["unpack", o, "--output", limited.to_str().unwrap(), "--limit", "4"]).0, 0);
    assert_eq!(
        std::fs::read_to_string(limited.join("index.csv")).unwrap(),
        csv.lines().take(5).map(|l| format!("{l}\n")).collect::<String>()
    );

    let sheet = tmp.path().join("sheet.png");
    let (code, json) = call(&["inspect", o, "--json", "--sheet", sheet.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["records"].as_u64(), json["classes"][0]["records"].as_u64()), (0, Some(16), Some(6)));
    let sheet = imagenet_engine::data::decode::decode(&std::fs::read(sheet).unwrap(), 1 << 24).unwrap();
    assert!(sheet.width > 1000 && sheet.height > 300);
    let bright = sheet.pixels.iter().filter(|&&v| v > 200).count();
    assert!(bright > 2000, "the sheet is blank");
}

/// Otherwise it would be listed as a class, and every label behind it would move.
#[test]
fn an_output_inside_the_input_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let input = tmp.path().join("in");
    tree(&input, 2, 2, 40, 1);
    let error = run(&options(&input, &input.join("packed"))).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("inside the input"), "{error}");
    assert!(!input.join("packed").exists());
}

/// What cannot be read is a bad picture, listed and counted, whatever the reason; nothing waits for a pipe.
#[test]
fn unreadable_sources_are_bad_pictures() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, out) = (tmp.path().join("in"), tmp.path().join("out"));
    tree(&input, 2, 4, 20, 1);
    let class = input.join("class00");
    std::os::unix::fs::symlink("nowhere.png", class.join("dangling.png")).unwrap();
    std::os::unix::fs::symlink("loop.png", class.join("loop.png")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(class.join("socket.jpg")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, class.join("pipe.jpg"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    std::fs::File::create(class.join("endless.jpg")).unwrap().set_len((1 << 30) + 1).unwrap(); // sparse
    std::fs::create_dir(class.join("folder.JPEG")).unwrap();
    std::fs::copy(golden("rgb.png"), class.join("folder.JPEG/inside.png")).unwrap();
    std::fs::set_permissions(class.join("p0001.png"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let root = std::fs::read(class.join("p0001.png")).is_ok(); // permissions do not bind root
    let bad = if root { 5 } else { 6 };

    let error = run(&options(&input, &out)).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains(&format!("{bad} of 14 images cannot be read")), "{error}");
    assert!(!out.join("dataset.json").exists());
    let report = run(&imagenet_engine::data::pack::PackOptions { on_bad: OnBad::Skip, ..options(&input, &out) }).unwrap();
    assert_eq!((report.manifest.records, report.manifest.skipped), (14 - bad, bad));
    let listed = std::fs::read_to_string(out.join("bad_images.jsonl")).unwrap();
    for (file, words) in [
        ("dangling.png", "a link that leads to no file"),
        ("loop.png", "a link that leads to no file"),
        ("socket.jpg", "not a file but a pipe, socket or device"),
        ("pipe.jpg", "not a file but a pipe, socket or device"),
        ("endless.jpg", "a file of 1073741825 bytes"),
    ] {
        assert!(listed.lines().any(|l| l.contains(file) && l.contains(words) && l.contains("skipped")), "{file}: {listed}");
    }
    assert_eq!(listed.contains("no permission"), !root);

    // An unreadable picture is not an empty one: when it can be read later, that is another pack.
    std::fs::remove_file(out.join("dataset.json")).unwrap();
    std::fs::remove_file(class.join("dangling.png")).unwrap();
    std::fs::write(class.join("dangling.png"), []).unwrap();
    let error = run(&options(&input, &out)).unwrap_err();
    assert!(error.exit_code() == 73 && error.to_string().contains("source images are others"), "{error}");
}

#[test]
fn more_jobs_than_any_machine_has_cores_are_a_usage_error() {
    let tmp = tempfile::tempdir().unwrap();
    let base = options(tmp.path(), &tmp.path().join("out"));
    let error = run(&imagenet_engine::data::pack::PackOptions { jobs: 100_000, ..base }).unwrap_err();
    assert!(error.exit_code() == 2 && !tmp.path().join("out").exists(), "{error}");
}
