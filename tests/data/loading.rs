//! The loader: what each batch holds, wherever it starts and however many threads make it.

use super::common::*;
use imagenet_engine::data::loader::{PictureInfo, Rank};
use imagenet_engine::data::order::{Mixing, Order};
use imagenet_engine::data::synthetic::Synthetic;
use imagenet_engine::data::{Batch, Dataset, Loader, LoaderOptions, Source};
use std::sync::Arc;
use std::time::Duration;

fn packed(tmp: &std::path::Path) -> Arc<Dataset> {
    let (input, out) = (tmp.join("in"), tmp.join("out"));
    tree(&input, 5, 11, 40, 3);
    run(&options(&input, &out)).unwrap();
    Arc::new(Dataset::open(&out).unwrap())
}

fn batches(source: &Arc<Dataset>, options: &LoaderOptions) -> Vec<Batch> {
    Loader::new(source.clone(), options).unwrap().map(Result::unwrap).collect()
}

#[test]
fn batches_are_the_order_and_the_crops_say() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let options = LoaderOptions::train(8, 24, (0.08, 1.0), 42, 3);
    let all = batches(&dataset, &options);
    assert_eq!(all.len(), 3 * 6, "55 pictures make 6 full batches of 8");
    let order = Order::new(55, 42, Mixing::Full);
    for (number, batch) in all.iter().enumerate() {
        let (epoch, index) = ((number / 6) as u32, (number % 6) as u64);
        assert_eq!((batch.epoch, batch.index, batch.len()), (epoch, index, 8));
        for k in 0..8 {
            let picture = dataset.record(order.at(epoch, index * 8 + k as u64) as usize).unwrap();
            let view = batch.views[k];
            assert_eq!((batch.labels[k], batch.ids[k]), (picture.label, picture.global_id));
            assert_eq!((view.width, view.height), (picture.width, picture.height));
            assert_eq!(&batch.pixels[view.offset..][..picture.pixels.len()], &picture.pixels[..]);
            assert_eq!(view.crop, options.policy.crop(picture.width, picture.height, 24, 42, epoch, picture.global_id));
        }
    }
    // Order is compared in order: two epochs hold the same pictures in another sequence.
    let ids = |epoch: usize| all[epoch * 6..(epoch + 1) * 6].iter().flat_map(|b| b.ids.clone()).collect::<Vec<_>>();
    assert_ne!(ids(0), ids(1));
}

#[test]
fn starting_anywhere_and_any_number_of_threads_give_the_same_batches() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let base = LoaderOptions::train(8, 24, (0.08, 1.0), 7, 4);
    let all = batches(&dataset, &base);
    for (epoch, first_batch) in [(0, 0), (0, 1), (1, 5), (2, 3), (3, 5), (3, 6)] {
        for threads in [1, 2, 3] {
            let options = LoaderOptions { epochs: epoch..4, first_batch, threads, prefetch: threads, ..base.clone() };
            let rest = batches(&dataset, &options);
            assert!(
                rest == all[(u64::from(epoch) * 6 + first_batch) as usize..],
                "from epoch {epoch} batch {first_batch}, {threads} threads"
            );
        }
    }
    // The comparison can fail: another seed.
    assert!(batches(&dataset, &LoaderOptions { seed: 8, ..base }) != all);
}

#[test]
fn evaluation_sees_each_picture_once() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let all = batches(&dataset, &LoaderOptions::eval(8, 32));
    assert_eq!(all.iter().map(Batch::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 7]);
    assert_eq!(all.iter().flat_map(|b| b.ids.clone()).collect::<Vec<_>>(), (0..55).collect::<Vec<u64>>());
    assert!(all.iter().flat_map(|b| &b.views).all(|v| (v.crop.width, v.crop.height, v.crop.flip) == (32, 32, false)));
}

#[test]
fn dropping_stops() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let options = LoaderOptions { threads: 2, ..LoaderOptions::train(8, 24, (0.08, 1.0), 7, 4) };
    for taken in 0..3 {
        let mut loader = Loader::new(dataset.clone(), &options).unwrap();
        for _ in 0..taken {
            loader.next();
        }
        drop(loader); // must return although the threads wait for room
    }
    assert_eq!(Arc::strong_count(&dataset), 1, "a thread still holds the data");
}

#[test]
fn an_error_comes_out_of_the_loader() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let entry = dataset.shards()[2].entries[1];
    let path = dataset.shards()[2].path().to_owned();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[entry.offset as usize] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let results: Vec<_> = Loader::new(Arc::new(Dataset::open(dataset.dir()).unwrap()), &LoaderOptions::eval(4, 32)).unwrap().collect();
    assert_eq!(results.len(), 5, "batches 0 to 3 and the error; nothing after it");
    let error = results.into_iter().last().unwrap().unwrap_err().to_string();
    assert!(error.contains("record 1") && error.contains(&format!("global {}", entry.global_id)), "{error}");
}

/// Slices of the same global batches, whatever the number of devices: together they are what one device alone would see.
#[test]
fn the_order_does_not_depend_on_the_number_of_devices() {
    let source: Arc<dyn Source> = Arc::new(Synthetic::new(1003, 2, 2, 3, 1));
    for mixing in [Mixing::Full, Mixing::Block { block: 16, window: 4 }, Mixing::None] {
        let ids = |index: usize, world: usize| -> Vec<Vec<u64>> {
            let rank = Rank { index, world };
            let options = LoaderOptions { mixing, rank, ..LoaderOptions::train(32 / world, 2, (0.08, 1.0), 7, 3) };
            Loader::new(source.clone(), &options).unwrap().map(|b| b.unwrap().ids).collect()
        };
        let alone = ids(0, 1);
        assert_eq!(alone.len(), 3 * 31);
        for world in [2, 4, 8] {
            let ranks: Vec<_> = (0..world).map(|index| ids(index, world)).collect();
            let together: Vec<Vec<u64>> = (0..alone.len()).map(|g| ranks.iter().flat_map(|r| r[g].clone()).collect()).collect();
            assert_eq!(together, alone, "{mixing:?}, {world} devices");
        }
        let epochs: Vec<Vec<u64>> = alone.chunks(31).map(<[_]>::concat).collect();
        assert_eq!(epochs[0] == epochs[1], mixing == Mixing::None);
    }
}

/// The next whole record stands in, whoever loads and from wherever, and what was wrong is told.
#[test]
fn a_damaged_record_is_replaced_by_the_next() {
    let tmp = tempfile::tempdir().unwrap();
    let whole = packed(tmp.path());
    let shard = &whole.shards()[2];
    let ids: Vec<u64> = (1..3).map(|r| shard.entries[r].global_id).collect();
    let mut bytes = std::fs::read(shard.path()).unwrap();
    (1..3).for_each(|r| bytes[shard.entries[r].offset as usize] ^= 1);
    std::fs::write(shard.path(), bytes).unwrap();
    let damaged = Arc::new(Dataset::open(whole.dir()).unwrap());
    let options = |threads| LoaderOptions { replace_bad: true, threads, ..LoaderOptions::train(8, 24, (0.08, 1.0), 42, 2) };
    let (all, expected) = (batches(&damaged, &options(1)), batches(&whole_again(&whole, tmp.path()), &options(1)));
    let mut replaced = 0;
    for (got, want) in all.iter().zip(&expected) {
        for (k, id) in want.ids.iter().enumerate() {
            let stands_in = if ids.contains(id) { ids[1] + 1 } else { *id };
            assert_eq!(got.ids[k], stands_in);
            replaced += usize::from(ids.contains(id));
        }
        let bad = want.ids.iter().filter(|id| ids.contains(id)).count();
        assert_eq!(got.bad.len(), bad);
        assert!(got.bad.iter().all(|bad| bad.id.is_some() && bad.what.contains("crc32c") && bad.what.contains("record ")), "{:?}", got.bad);
    }
    assert!(replaced >= 2, "both epochs see most of 55 pictures");
    assert!(all == batches(&damaged, &options(3)));
}

/// The pictures of `tmp`, packed anew and undamaged.
fn whole_again(like: &Dataset, tmp: &std::path::Path) -> Arc<Dataset> {
    let out = tmp.join("again");
    run(&options(&tmp.join("in"), &out)).unwrap();
    let again = Dataset::open(&out).unwrap();
    assert_eq!(again.dataset_id(), like.dataset_id());
    Arc::new(again)
}

/// A file cut while it is read is an error that names it, never a signal.
#[test]
fn a_shard_cut_while_in_use_is_an_error() {
    let tmp = tempfile::tempdir().unwrap();
    let dataset = packed(tmp.path());
    let mut loader = Loader::new(dataset.clone(), &LoaderOptions { prefetch: 1, ..LoaderOptions::eval(4, 32) }).unwrap();
    loader.next().unwrap().unwrap();
    for shard in dataset.shards() {
        std::fs::OpenOptions::new().write(true).open(shard.path()).unwrap().set_len(5000).unwrap();
    }
    let error = loader.find_map(Result::err).unwrap();
    assert!(error.exit_code() == 65 && error.to_string().contains("5000") && error.to_string().contains(".ies"), "{error}");
}

/// A source that stops for a while at one picture.
struct Stuck(Synthetic, bool);

impl Source for Stuck {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn classes(&self) -> &[String] {
        self.0.classes()
    }
    fn id(&self) -> String {
        self.0.id()
    }
    fn info(&self, i: usize) -> imagenet_engine::error::Result<PictureInfo> {
        self.0.info(i)
    }
    fn decodes(&self) -> bool {
        self.1
    }
    fn read_pixels(&self, i: usize, out: &mut [u8]) -> imagenet_engine::error::Result<()> {
        if i == 13 {
            std::thread::sleep(Duration::from_millis(400));
        }
        self.0.read_pixels(i, out)
    }
}

#[test]
fn a_loader_that_is_stuck_says_where() {
    // Where pictures are decoded side by side too: others of the batch are begun later and done sooner.
    for decodes in [false, true] {
        let source: Arc<dyn Source> = Arc::new(Stuck(Synthetic::new(40, 2, 2, 3, 1), decodes));
        let options = LoaderOptions { patience: Duration::from_millis(50), threads: 2, ..LoaderOptions::eval(8, 2) };
        let mut loader = Loader::new(source, &options).unwrap();
        let mut said = Vec::new();
        while let Some(batch) = loader.wait(&mut |line| said.push(line)) {
            batch.unwrap();
        }
        // On a busy machine other batches may be late too.
        let about: Vec<_> = said.iter().filter(|line| line.contains("thread 1 has been reading image 13")).collect();
        assert!(about.len() >= 3, "again and again: {said:?}");
        assert!(about.last().unwrap().contains("thread 0 finished batch"), "{said:?}");
    }
}

#[test]
fn too_little_data_is_a_usage_error() {
    let source: Arc<dyn Source> = Arc::new(Synthetic::new(10, 8, 8, 3, 1));
    assert_eq!(Loader::new(source.clone(), &LoaderOptions::train(11, 8, (0.08, 1.0), 1, 1)).err().unwrap().exit_code(), 2);
    let made: Vec<Batch> = Loader::new(source, &LoaderOptions::train(5, 8, (0.08, 1.0), 1, 1)).unwrap().map(Result::unwrap).collect();
    assert!(made.len() == 2 && made[0].pixels.len() == 5 * 8 * 8 * 3 && made[0].labels.iter().all(|&l| l < 3));
}
