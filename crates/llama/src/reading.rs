//! What a batch reads of prompts, and where in it.
//!
//! On a CPU llama.cpp computes attention in tiles of [`TILE`] rows where so many are computed at once: each row looks at the cells of all of
//! them. Fewer rows look at their own cells alone, which takes about twice as long a cell. So a chunk with its cells in common is a tile
//! of its own, at the front of the batch; what has few in common stays below that number, together with the answers.

/// Rows from which attention is computed in tiles: `GGML_FA_TILE_Q` of llama.cpp's `ggml-cpu/common.h`.
pub(crate) const TILE: usize = 64;
/// A tile takes as long as rows alone where so many of its rows, on average, look at a cell.
const ALIKE: usize = 35;
/// Where answers leave less room than this below a tile, there is none to be kept.
const ROOM: usize = 16;

/// Tokens to read of each prompt, in their order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) pieces: Vec<usize>,
    /// Whether they stand before the answers, as a tile.
    pub(crate) first: bool,
}

/// Shares `chunk` tokens out over prompts that have so many left, beside so many tokens of answers; `tiles` where
/// attention is computed in tiles. `looked_at` tells of such pieces how many cells their rows look at, counted by row and counted once.
pub(crate) fn share_out(
    left: &[usize],
    answers: usize,
    chunk: usize,
    tiles: bool,
    looked_at: impl FnOnce(&[usize]) -> (usize, usize),
) -> Reading {
    let pieces = share(left, chunk);
    let whole = pieces.iter().sum::<usize>() >= TILE;
    let alike = |pieces: &[usize]| {
        let (by_row, once) = looked_at(pieces);
        by_row >= ALIKE * once
    };
    if !tiles || (whole && (pieces.len() == 1 || alike(&pieces))) {
        return Reading { pieces, first: tiles };
    }
    // What has a whole tile left gets one in its turn.
    let ends = left.iter().take_while(|left| **left < TILE).count();
    let room = Some((TILE - 1).saturating_sub(answers)).filter(|room| *room >= ROOM).unwrap_or(chunk);
    Reading { pieces: share(&left[..ends], room), first: false }
}

/// As much of each as is left of `most`.
fn share(left: &[usize], most: usize) -> Vec<usize> {
    let mut rest = most;
    let piece = |left: &usize| {
        let piece = rest.min(*left);
        rest -= piece;
        piece
    };
    left.iter().map(piece).take_while(|piece| *piece > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(left: &[usize], answers: usize, (by_row, once): (usize, usize)) -> (Vec<usize>, bool) {
        let Reading { pieces, first } = share_out(left, answers, TILE, true, |_| (by_row, once));
        (pieces, first)
    }

    const ALONE: (usize, usize) = (64 * 300, 2_400);
    const TOGETHER: (usize, usize) = (64 * 850, 1_000);

    #[test]
    fn a_whole_chunk_of_one_prompt_is_a_tile_of_its_own() {
        assert_eq!(pieces(&[500, 300], 7, ALONE), (vec![64], true));
        assert_eq!(pieces(&[64, 3], 0, ALONE), (vec![64], true));
    }

    #[test]
    fn ends_of_prompts_stay_below_a_tile_with_the_answers() {
        assert_eq!(pieces(&[20], 7, ALONE), (vec![20], false));
        assert_eq!(pieces(&[40, 30, 9], 7, ALONE), (vec![40, 16], false));
        // The second one has a tile in its turn.
        assert_eq!(pieces(&[20, 500, 8], 7, ALONE), (vec![20], false));
        // So many answers are tiles in any case.
        assert_eq!(pieces(&[40, 30], 50, ALONE), (vec![40, 24], false));
        assert_eq!(pieces(&[40, 30], 200, ALONE), (vec![40, 24], false));
    }

    #[test]
    fn prompts_with_most_of_their_cells_in_common_are_a_tile() {
        assert_eq!(pieces(&[30, 30, 30], 7, TOGETHER), (vec![30, 30, 4], true));
        assert_eq!(pieces(&[30, 30], 7, TOGETHER), (vec![30, 26], false), "which is not whole");
    }

    #[test]
    fn without_tiles_prompts_fill_the_chunk() {
        let all = |left: &[usize]| share_out(left, 7, 256, false, |_| unreachable!());
        assert_eq!(all(&[20, 500, 8]), Reading { pieces: vec![20, 236], first: false });
        assert_eq!(all(&[]), Reading { pieces: vec![], first: false });
    }

    #[test]
    fn something_is_read_of_the_first_one_in_any_case() {
        for left in 1..200 {
            for answers in 0..200 {
                let (pieces, _) = pieces(&[left, 5], answers, ALONE);
                assert!(pieces.first().is_some_and(|piece| *piece > 0), "{left} beside {answers}");
            }
        }
    }
}
