//! The search on curves that are known.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn settings(max_streams: u32) -> SearchSettings {
    SearchSettings {
        max_streams,
        tolerance_share: 0.05,
        samples: 5,
        repeats: 7,
        sample_time: Duration::from_millis(1_300),
        time_limit: 120 * SECOND,
        seed: 1,
    }
}

/// Searches `curve` to the end; the search, the samples in order and the time of them.
fn search(
    settings: SearchSettings,
    curve: fn(f64) -> f64,
    noise_share: f64,
) -> (Search, Vec<u32>, Duration) {
    search_seeded(settings, curve, noise_share, 11)
}

/// The same with noise of another seed.
fn search_seeded(
    settings: SearchSettings,
    curve: fn(f64) -> f64,
    noise_share: f64,
    seed: u64,
) -> (Search, Vec<u32>, Duration) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut search = Search::new(settings);
    let (mut order, mut elapsed) = (Vec::new(), Duration::ZERO);
    while let Some(streams) = search.next_streams(elapsed) {
        order.push(streams);
        elapsed += settings.sample_time;
        let noise = 1.0 + noise_share * (random.f64() - 0.5) * 12.0_f64.sqrt();
        search.add(streams, curve(f64::from(streams)) * noise);
        assert!(order.len() < 1_000, "no end");
    }
    (search, order, elapsed)
}

fn flat(_streams: f64) -> f64 {
    9.4e9
}

/// Half a Gbit/s each, and 1.91 Gbit/s of all together.
fn shaped(streams: f64) -> f64 {
    (0.5e9 * streams).min(1.91e9)
}

fn endless(streams: f64) -> f64 {
    1e9 * streams
}

/// Each number gains less than the tolerance over the one before it, and never stops.
fn creeping(streams: f64) -> f64 {
    1e9 * streams.powf(0.11)
}

/// Falls off past its best.
fn falling(streams: f64) -> f64 {
    1e9 * if streams <= 3.0 { streams } else { 3.0 - 0.2 * (streams - 3.0).min(10.0) }
}

fn answer(search: &Search) -> u32 {
    streams_needed(search.samples(), ANSWER_SHARE).unwrap()
}

fn taken(search: &Search, streams: u32) -> usize {
    let own = search.samples().iter().find(|own| own.streams == streams);
    own.map_or(0, |own| own.goodputs.len())
}

#[test]
fn streams_are_tried_in_powers_of_two_and_halfway() {
    assert_eq!(stream_counts(16), [1, 2, 3, 4, 6, 8, 12, 16]);
    assert_eq!(stream_counts(20), [1, 2, 3, 4, 6, 8, 12, 16, 20]);
    assert_eq!(stream_counts(3), [1, 2, 3]);
    assert_eq!(stream_counts(u32::MAX).last(), Some(&u32::MAX));
}

#[test]
fn a_path_that_one_stream_fills_plans_at_most_60_s_of_windows() {
    for noise in [0.0, 0.01, 0.02] {
        let (search, order, time) = search(settings(64), flat, noise);
        assert_eq!(search.end(), Some(SearchEnd::Saturated), "{noise}");
        assert_eq!(order.iter().max(), Some(&3), "{noise}: {order:?}");
        assert!(time <= 60 * SECOND, "{noise}: {time:?}");
    }
}

#[test]
fn a_plateau_is_found_and_its_neighbours_are_repeated() {
    for noise in [0.0, 0.02] {
        let (search, order, time) = search(settings(64), shaped, noise);
        assert_eq!(search.end(), Some(SearchEnd::Saturated), "{noise}");
        assert_eq!(answer(&search), 4, "{noise}");
        for streams in [3, 4, 6] {
            assert!(taken(&search, streams) >= 7, "{noise}: {order:?}");
        }
        assert!(search.samples().iter().all(|own| own.goodputs.len() >= 5), "{noise}: {order:?}");
        assert!(time <= 90 * SECOND, "{noise}: {time:?}");
    }
}

#[test]
fn rounds_are_interleaved_and_new_numbers_stand_beside_old_ones() {
    let (_, order, _) = search(settings(64), shaped, 0.0);
    // Each of the first five rounds has every number once.
    for round in order[..15].chunks(3) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [1, 2, 3]);
    }
    assert!(order[..15].chunks(3).any(|round| round != [1, 2, 3]), "a drawn order: {order:?}");
    // What 4 and 6 are held against is measured again between them.
    assert_eq!(order[15..27].iter().filter(|streams| **streams == 3).count(), 2, "{order:?}");
    assert_eq!(search(settings(64), shaped, 0.0).1, order, "the same again");
    let other = SearchSettings { seed: 2, ..settings(64) };
    assert_ne!(search(other, shaped, 0.0).1, order);
}

#[test]
fn two_further_steps_are_needed() {
    // 6 gains nothing over 4, and nothing comes after it.
    let (search, order, _) = search(settings(6), shaped, 0.0);
    assert_eq!(search.end(), Some(SearchEnd::StillGaining), "{order:?}");
    assert_eq!(order.iter().max(), Some(&6));
}

#[test]
fn no_plateau_is_said_and_not_guessed() {
    for curve in [endless, creeping] {
        let (search, order, _) = search(settings(16), curve, 0.0);
        assert_eq!(search.end(), Some(SearchEnd::StillGaining), "{order:?}");
        assert_eq!(order.iter().max(), Some(&16));
    }
}

#[test]
fn a_curve_that_falls_has_its_best_before() {
    let (search, order, _) = search(settings(64), falling, 0.01);
    assert_eq!(search.end(), Some(SearchEnd::Saturated), "{order:?}");
    assert_eq!(answer(&search), 3);
}

#[test]
fn intervals_that_stay_wide_show_nothing() {
    let (search, order, time) = search(settings(64), flat, 0.15);
    let end = search.end().unwrap();
    assert!(matches!(end, SearchEnd::IntervalsTooWide | SearchEnd::StillGaining), "{end:?}");
    assert_eq!(order.iter().max(), Some(&64));
    assert!(time <= 120 * SECOND, "{time:?}");
}

/// Each number gains 8 % over the one before it.
fn rising(streams: f64) -> f64 {
    let before = stream_counts(64).iter().filter(|own| f64::from(**own) < streams).count();
    1e9 * 1.08_f64.powi(i32::try_from(before).unwrap())
}

/// Noise of 2 %, as a quiet machine has.
#[test]
fn noise_hides_no_plateau_and_makes_none() {
    const SEARCHES: u64 = 4;
    for seed in 0..SEARCHES {
        let (found, order, _) = search_seeded(settings(16), flat, 0.02, seed);
        assert_eq!(found.end(), Some(SearchEnd::Saturated), "{seed}: {order:?}");
        let (found, order, _) = search_seeded(settings(12), rising, 0.02, seed);
        assert_eq!(found.end(), Some(SearchEnd::StillGaining), "{seed}: {order:?}");
    }
}

#[test]
fn the_time_limit_ends_it_with_what_there_is() {
    let short = SearchSettings { time_limit: 10 * SECOND, ..settings(64) };
    let (search, order, time) = search(short, shaped, 0.0);
    assert_eq!(search.end(), Some(SearchEnd::TimeLimit));
    assert_eq!(order.len(), 7);
    assert!(time <= 10 * SECOND);
}

#[test]
fn samples_that_take_longer_than_planned_keep_to_the_time_limit() {
    let mut search = Search::new(settings(64));
    let mut elapsed = Duration::ZERO;
    while let Some(streams) = search.next_streams(elapsed) {
        search.add(streams, endless(f64::from(streams)));
        elapsed += 4 * SECOND;
    }
    assert_eq!(search.end(), Some(SearchEnd::TimeLimit));
    assert_eq!(elapsed, 120 * SECOND);
}

#[test]
fn once_it_is_shown_the_time_limit_takes_nothing_back() {
    // Fifteen samples show it; there is no time to repeat any.
    let short = SearchSettings { time_limit: 20 * SECOND, ..settings(64) };
    let (search, order, _) = search(short, flat, 0.0);
    assert_eq!((search.end(), order.len()), (Some(SearchEnd::Saturated), 15));
}

#[test]
fn a_sample_that_failed_is_asked_for_again() {
    let mut search = Search::new(settings(64));
    let mut asked = 0;
    while let Some(streams) = search.next_streams(Duration::ZERO) {
        asked += 1;
        if asked % 4 != 0 {
            search.add(streams, flat(1.0));
        }
    }
    assert_eq!(search.end(), Some(SearchEnd::Saturated));
    assert!(search.samples().iter().all(|own| own.goodputs.len() >= 5));
}
