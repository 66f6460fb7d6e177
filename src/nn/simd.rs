//! The processor's vectors, behind one trait, chosen at run time.
//!
//! A [`Block`](Simd::Block) is as many output channels as a kernel computes side by side: 48 with AVX-512
//! (three registers), 16 with AVX2 (two registers) and 16 without either.

use std::sync::OnceLock;

/// The instruction sets that kernels exist for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    Scalar,
    Avx2,
    Avx512,
}

impl Path {
    /// The best path of this processor. The environment variable `AEZ_SIMD` (`scalar`, `avx2`, `avx512`)
    /// switches to a lesser one.
    pub fn best() -> Self {
        static BEST: OnceLock<Path> = OnceLock::new();
        *BEST.get_or_init(|| {
            let wanted = match std::env::var("AEZ_SIMD").as_deref() {
                Ok("scalar") => Self::Scalar,
                Ok("avx2") => Self::Avx2,
                _ => Self::Avx512,
            };
            Self::available().into_iter().rfind(|path| *path <= wanted).unwrap_or(Self::Scalar)
        })
    }

    /// Every path that this processor can run, the best last.
    pub fn available() -> Vec<Self> {
        let mut paths = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                paths.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    paths.push(Self::Avx512);
                }
            }
        }
        paths
    }

    /// Channels in a block.
    pub const fn block(self) -> usize {
        match self {
            Self::Scalar => Scalar::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::WIDTH,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::WIDTH,
            #[cfg(not(target_arch = "x86_64"))]
            _ => Scalar::WIDTH,
        }
    }
}

/// Defines `$name(path, arguments)`, which runs the generic `$body::<S>` compiled for the path's instructions.
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(path: $crate::nn::simd::Path, $($arg: $ty),*) {
            use $crate::nn::simd::{Path, Scalar};
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::nn::simd::{Avx2, Avx512};
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) {
                    unsafe { $body::<Avx2>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) {
                    unsafe { $body::<Avx512>($($arg),*) }
                }
                // SAFETY: a path is only ever one of `Path::available`.
                match path {
                    Path::Avx2 => return unsafe { avx2($($arg),*) },
                    Path::Avx512 => return unsafe { avx512($($arg),*) },
                    Path::Scalar => {}
                }
            }
            let _ = Path::Scalar;
            let _ = path;
            unsafe { $body::<Scalar>($($arg),*) }
        }
    };
}
pub(super) use dispatch;

/// A block of channels and its arithmetic. Every method is inlined into a caller that has the features.
///
/// # Safety
/// The processor must have the implementor's instructions, and pointers must be good for `WIDTH` floats
/// (one float for `scale`).
pub(super) trait Simd {
    type Block: Copy;
    const WIDTH: usize;

    unsafe fn splat(value: f32) -> Self::Block;
    unsafe fn load(from: *const f32) -> Self::Block;
    unsafe fn store(block: Self::Block, to: *mut f32);
    /// Hints that a block will soon be loaded; any address will do.
    fn prefetch(from: *const f32);
    /// `sum + *scale * block`.
    unsafe fn scale_add(sum: Self::Block, scale: *const f32, block: Self::Block) -> Self::Block;
    unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block;
    unsafe fn sub(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a * factor`.
    unsafe fn scale(a: Self::Block, factor: f32) -> Self::Block;
    /// `a * factor + b`.
    unsafe fn mul_add(a: Self::Block, factor: f32, b: Self::Block) -> Self::Block;
    /// Negative values to zero.
    unsafe fn relu(block: Self::Block) -> Self::Block;
}

/// Portable arithmetic; the compiler makes of it what the target's baseline offers.
pub(super) struct Scalar;

impl Simd for Scalar {
    type Block = [f32; 16];
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Block {
        [value; 16]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::Block {
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(block: Self::Block, to: *mut f32) {
        unsafe { to.cast::<[f32; 16]>().write_unaligned(block) }
    }
    #[inline(always)]
    fn prefetch(_: *const f32) {}
    #[inline(always)]
    unsafe fn scale_add(sum: Self::Block, scale: *const f32, block: Self::Block) -> Self::Block {
        let scale = unsafe { *scale };
        std::array::from_fn(|i| sum[i] + scale * block[i])
    }
    #[inline(always)]
    unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn scale(a: Self::Block, factor: f32) -> Self::Block {
        a.map(|x| x * factor)
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::Block, factor: f32, b: Self::Block) -> Self::Block {
        std::array::from_fn(|i| a[i] * factor + b[i])
    }
    #[inline(always)]
    unsafe fn relu(block: Self::Block) -> Self::Block {
        block.map(|x| x.max(0.0))
    }
}

/// Implements [`Simd`] for `$count` registers of `$lanes` floats.
#[cfg(target_arch = "x86_64")]
macro_rules! x86 {
    ($name:ident, $register:ident, $count:literal, $lanes:literal,
     $set1:ident, $zero:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $max:ident) => {
        pub(super) struct $name;

        impl Simd for $name {
            type Block = [std::arch::x86_64::$register; $count];
            const WIDTH: usize = $count * $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self::Block {
                unsafe { [std::arch::x86_64::$set1(value); $count] }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self::Block {
                let mut block = unsafe { Self::splat(0.0) };
                for (i, register) in block.iter_mut().enumerate() {
                    *register = unsafe { std::arch::x86_64::$load(from.add(i * $lanes)) };
                }
                block
            }
            #[inline(always)]
            unsafe fn store(block: Self::Block, to: *mut f32) {
                for (i, register) in block.into_iter().enumerate() {
                    unsafe { std::arch::x86_64::$store(to.add(i * $lanes), register) };
                }
            }
            #[inline(always)]
            fn prefetch(from: *const f32) {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                // The first of the block's cache lines; the others follow.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
            }
            #[inline(always)]
            unsafe fn scale_add(mut sum: Self::Block, scale: *const f32, block: Self::Block) -> Self::Block {
                unsafe {
                    let scale = std::arch::x86_64::$set1(*scale);
                    for i in 0..$count {
                        sum[i] = std::arch::x86_64::$fma(scale, block[i], sum[i]);
                    }
                }
                sum
            }
            #[inline(always)]
            unsafe fn add(mut a: Self::Block, b: Self::Block) -> Self::Block {
                for i in 0..$count {
                    a[i] = unsafe { std::arch::x86_64::$add(a[i], b[i]) };
                }
                a
            }
            #[inline(always)]
            unsafe fn sub(mut a: Self::Block, b: Self::Block) -> Self::Block {
                for i in 0..$count {
                    a[i] = unsafe { std::arch::x86_64::$sub(a[i], b[i]) };
                }
                a
            }
            #[inline(always)]
            unsafe fn scale(mut a: Self::Block, factor: f32) -> Self::Block {
                unsafe {
                    let factor = std::arch::x86_64::$set1(factor);
                    for register in &mut a {
                        *register = std::arch::x86_64::$mul(*register, factor);
                    }
                }
                a
            }
            #[inline(always)]
            unsafe fn mul_add(mut a: Self::Block, factor: f32, b: Self::Block) -> Self::Block {
                unsafe {
                    let factor = std::arch::x86_64::$set1(factor);
                    for i in 0..$count {
                        a[i] = std::arch::x86_64::$fma(a[i], factor, b[i]);
                    }
                }
                a
            }
            #[inline(always)]
            unsafe fn relu(mut block: Self::Block) -> Self::Block {
                unsafe {
                    let zero = std::arch::x86_64::$zero();
                    for register in &mut block {
                        *register = std::arch::x86_64::$max(*register, zero);
                    }
                }
                block
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
x86!(
    Avx2,
    __m256,
    2,
    8,
    _mm256_set1_ps,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_max_ps
);
#[cfg(target_arch = "x86_64")]
x86!(
    Avx512,
    __m512,
    3,
    16,
    _mm512_set1_ps,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_max_ps
);
