//! The pool: sizes are reused, peaks are counted, copies keep every bit.

use imagenet_engine::backend::Memory;
use imagenet_engine::cpu::Cpu;

#[test]
fn dropped_memory_is_used_again() {
    let cpu = Cpu::<f32>::new();
    let step = || {
        let a = cpu.empty(1_000_000).unwrap();
        let b = cpu.zeros(3000).unwrap();
        let c = cpu.empty_bytes(70_000).unwrap();
        drop((a, c));
        let d = cpu.empty(1_000_000).unwrap(); // fits where `a` was
        drop((b, d));
    };
    step();
    let (held, peak) = (cpu.held_bytes(), cpu.peak_bytes());
    assert!((4_082_000..4_700_000).contains(&peak), "{peak}"); // 12.5% of slack at most
    (0..10).for_each(|_| step());
    assert_eq!((cpu.held_bytes(), cpu.peak_bytes()), (held, peak));
}

#[test]
fn buffers_outlive_their_handle_and_cross_threads() {
    let cpu = Cpu::<f32>::new();
    let buffer = cpu.upload(&[1.0, 2.0, 3.0]).unwrap();
    drop(cpu);
    let moved = std::thread::spawn(move || Cpu::<f32>::all(&buffer).to_vec()).join().unwrap();
    assert_eq!(moved, [1.0, 2.0, 3.0]);
}

#[test]
fn copies_keep_every_bit() {
    let wide = [0.1, -1.0 / 3.0, 1e300];
    let cpu = Cpu::<f64>::new();
    let mut back = [0.0; 3];
    cpu.read_f64(Cpu::<f64>::all(&cpu.upload_f64(&wide).unwrap()), &mut back).unwrap();
    assert_eq!(back, wide);
    let cpu = Cpu::<f32>::new();
    let mut buffer = cpu.upload(&[1.5, f32::MIN_POSITIVE, -0.0, 7.0]).unwrap();
    cpu.write(&[9.0], Cpu::<f32>::view_mut(&mut buffer, 3..4)).unwrap();
    let mut host = [0.0; 3];
    cpu.read(Cpu::<f32>::view(&buffer, 1..4), &mut host).unwrap();
    assert_eq!(host.map(f32::to_bits), [f32::MIN_POSITIVE, -0.0, 9.0].map(f32::to_bits));
    assert!(cpu.read(Cpu::<f32>::all(&buffer), &mut host).is_err());
    assert!(cpu.write(&host, Cpu::<f32>::all_mut(&mut buffer)).is_err());
    assert!(cpu.zeros(0).is_ok_and(|b| Cpu::<f32>::len(&b) == 0));
}

#[test]
fn activations_start_on_cache_lines() {
    let cpu = Cpu::<f32>::new();
    for len in [1, 100, 5000] {
        assert_eq!(Cpu::<f32>::all(&cpu.empty(len).unwrap()).as_ptr() as usize % 64, 0);
    }
}
