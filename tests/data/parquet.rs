//! Parquet's row groups: each is decoded once, in whatever order the pictures are packed.

use super::common::*;
use imagenet_engine::data::bad::OnBad;
use imagenet_engine::data::pack::PackOptions;
use imagenet_engine::data::plan::{Plan, PlanOptions};
use imagenet_engine::data::source::SourceOptions;
use imagenet_engine::data::{Dataset, Split};
use imagenet_engine::progress::Silent;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const GROUPS: usize = 12;
const ROWS: usize = 10;

/// Pictures of `input`'s two classes in row groups of [`ROWS`], columns as Hugging Face's.
fn write_table(input: &Path, file: &Path) {
    let schema = "message schema { required group image { required binary bytes; required binary path (UTF8); } required int64 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(std::fs::File::create(file).unwrap(), schema, properties).unwrap();
    for g in 0..GROUPS {
        let rows: Vec<(usize, String)> = (g * ROWS..(g + 1) * ROWS).map(|i| (i % 2, format!("p{:04}.png", i / 2))).collect();
        let read = |(c, name): &(usize, String)| std::fs::read(input.join(format!("class{c:02}/{name}"))).unwrap();
        let pictures: Vec<ByteArray> = rows.iter().map(|r| read(r).into()).collect();
        let paths: Vec<ByteArray> = rows.iter().map(|r| r.1.as_str().into()).collect();
        let labels: Vec<i64> = rows.iter().map(|r| r.0 as i64).collect();
        let mut group = writer.next_row_group().unwrap();
        for values in [&pictures, &paths] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(values, None, None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn a_permuted_pack_decodes_each_row_group_once() {
    let tmp = tempfile::tempdir().unwrap();
    let (input, file) = (tmp.path().join("in"), tmp.path().join("train.parquet"));
    tree(&input, 2, GROUPS * ROWS / 2, 10, 1);
    write_table(&input, &file);
    let options_of = PlanOptions { size: 8, ..PlanOptions::new(Split::Train) };
    // One thread keeps two groups, so that an order that is not the file's shows.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let groups_read = |scratch: Option<&Path>, forget: bool| {
        let source = SourceOptions { scratch: scratch.map(Path::to_owned), ..SourceOptions::default() };
        pool.install(|| {
            let plan = Plan::make(&file, &source, &options_of, &Silent, &AtomicBool::new(false)).unwrap().unwrap();
            assert_eq!(plan.store.row_groups_read(), GROUPS as u64, "the pass that hashes goes through the file once");
            if forget {
                plan.store.forget_spilled();
            }
            let mut bytes = Vec::new();
            for item in &plan.items {
                plan.store.read(&item.place, &mut bytes).unwrap();
                let name = item.path.rsplit('/').next().unwrap();
                assert!(bytes == std::fs::read(input.join(format!("class{:02}/{name}", item.label))).unwrap(), "{}", item.path);
            }
            plan.store.row_groups_read() as usize
        })
    };
    assert!(groups_read(None, false) > 4 * GROUPS, "without putting by it must cost a group a picture, or this test shows nothing");
    assert_eq!(groups_read(Some(tmp.path()), false), GROUPS);
    assert!(groups_read(Some(tmp.path()), true) > 4 * GROUPS, "what was let go is read again");
    assert!(std::fs::read_dir(tmp.path()).unwrap().count() == 2, "nothing is left of what was put by");

    // The pack, which does put by, has the pictures of the folder.
    let pixels = |input: &Path, out: &str| {
        let base = options(input, &tmp.path().join(out));
        run(&PackOptions { plan: options_of.clone(), on_bad: OnBad::Fail, ..base }).unwrap();
        let d = Dataset::open(&tmp.path().join(out)).unwrap();
        let mut all: Vec<_> = (0..d.len()).map(|i| d.record(i).unwrap()).map(|p| (p.label, p.pixels.to_vec())).collect();
        all.sort();
        all
    };
    assert!(pixels(&file, "table") == pixels(&input, "folder"));
    assert_eq!(files(&tmp.path().join("table")).len(), 3, "a shard, SHA256SUMS and dataset.json");
}
