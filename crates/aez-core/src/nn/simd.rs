//! SIMD operations of the supported instruction sets behind one trait, selected at run time.
//!
//! A kernel computes a [`Block`](Simd::Block) of output channels at a time: 48 with AVX-512 (three
//! registers), 16 with AVX2 (two registers) and 16 with portable code. Kernels on rows of pixels need
//! blocks of 16 with AVX-512, too.

use std::sync::OnceLock;

/// Instruction sets for which there are kernels, from the slowest to the fastest.
///
/// All variants exist on all targets; [`available`](Self::available) lists those that the CPU supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InstructionSet {
    /// Portable code, compiled for the instruction set of the target. Available on every CPU.
    Scalar,
    /// AVX2 and FMA (`x86_64`).
    Avx2,
    /// AVX-512F, AVX2 and FMA (`x86_64`).
    Avx512,
}

impl InstructionSet {
    /// The fastest instruction set that the CPU supports.
    ///
    /// The environment variable `AEZ_SIMD` lowers the choice if it is set to `scalar` or `avx2`; other values
    /// have no effect. It is read once.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<InstructionSet> = OnceLock::new();
        *BEST.get_or_init(|| {
            let limit = match std::env::var("AEZ_SIMD").as_deref() {
                Ok("scalar") => Self::Scalar,
                Ok("avx2") => Self::Avx2,
                _ => Self::Avx512,
            };
            Self::available().into_iter().rfind(|set| *set <= limit).unwrap_or(Self::Scalar)
        })
    }

    /// All instruction sets that the CPU supports, the fastest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512].into_iter().filter(|set| set.is_available()).collect()
    }

    /// Whether the CPU supports the instruction set.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match self {
                Self::Scalar => true,
                Self::Avx2 => avx2(),
                Self::Avx512 => avx2() && is_x86_feature_detected!("avx512f"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Scalar
        }
    }

    /// Panics if the CPU does not support the instruction set. Every layer calls this before it runs a
    /// kernel.
    pub(super) fn check(self) {
        assert!(self.is_available(), "this CPU does not support {self:?}");
    }

    /// Number of channels in a block.
    pub(super) const fn block(self) -> usize {
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

/// Defines `$name(set, arguments)`, which calls the generic `$body::<S>(arguments)` compiled for the
/// instruction set. With AVX-512, `S` is `$wide`, or else [`Avx512`].
macro_rules! dispatch {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident($($args:tt)*)) => {
        dispatch! { $(#[$doc])* $vis fn $name = $body($($args)*) with Avx512 }
    };
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?) with $wide:ident) => {
        $(#[$doc])*
        $vis unsafe fn $name(set: $crate::nn::simd::InstructionSet, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::nn::simd::{Avx2, InstructionSet};
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2($($arg: $ty),*) {
                    unsafe { $body::<Avx2>($($arg),*) }
                }
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512($($arg: $ty),*) {
                    unsafe { $body::<$crate::nn::simd::$wide>($($arg),*) }
                }
                // SAFETY: the caller guarantees that the CPU supports the instruction set.
                match set {
                    InstructionSet::Avx2 => return unsafe { avx2($($arg),*) },
                    InstructionSet::Avx512 => return unsafe { avx512($($arg),*) },
                    InstructionSet::Scalar => {}
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = set;
            unsafe { $body::<$crate::nn::simd::Scalar>($($arg),*) }
        }
    };
}
pub(super) use dispatch;

/// Arithmetic on a block of channels. The methods are inlined into functions that enable the required
/// features.
///
/// # Safety
/// The CPU must support the instructions of the implementing type. Pointers must be valid for `WIDTH` floats,
/// `scale` of [`scale_add`](Self::scale_add) for one float. They need no alignment beyond that of `f32`.
pub(super) trait Simd {
    type Block: Copy;
    /// Floats in a block.
    const WIDTH: usize;
    /// Registers of the CPU that a block takes.
    const REGISTERS: usize;

    unsafe fn splat(value: f32) -> Self::Block;
    unsafe fn load(from: *const f32) -> Self::Block;
    unsafe fn store(block: Self::Block, to: *mut f32);
    /// Prefetches the start of a block into the cache. The address need not be valid.
    fn prefetch(from: *const f32);
    /// `sum + *scale * block`.
    unsafe fn scale_add(sum: Self::Block, scale: *const f32, block: Self::Block) -> Self::Block;
    /// `a + b`.
    unsafe fn add(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a - b`.
    unsafe fn sub(a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a * factor`.
    unsafe fn scale(a: Self::Block, factor: f32) -> Self::Block;
    /// `a * factor + b`.
    unsafe fn mul_add(a: Self::Block, factor: f32, b: Self::Block) -> Self::Block;
    /// `sum + a * b`.
    unsafe fn product_add(sum: Self::Block, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `max(block, 0)`.
    unsafe fn relu(block: Self::Block) -> Self::Block;
}

/// Portable arithmetic, vectorized by the compiler for the target's instruction set. It does not use fused
/// multiply-add, so its results are the same on every target.
pub(super) struct Scalar;

impl Simd for Scalar {
    type Block = [f32; 16];
    const WIDTH: usize = 16;
    const REGISTERS: usize = 4;

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
    unsafe fn product_add(sum: Self::Block, a: Self::Block, b: Self::Block) -> Self::Block {
        std::array::from_fn(|i| sum[i] + a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn relu(block: Self::Block) -> Self::Block {
        block.map(|x| x.max(0.0))
    }
}

/// Defines `$name`, which implements [`Simd`] with `$count` registers of `$lanes` floats.
#[cfg(target_arch = "x86_64")]
macro_rules! x86 {
    ($name:ident, $register:ident, $count:literal, $lanes:literal,
     $set1:ident, $zero:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $sub:ident, $mul:ident, $max:ident) => {
        pub(super) struct $name;

        // Each method requires that the CPU supports the instructions, as the trait says.
        impl Simd for $name {
            type Block = [std::arch::x86_64::$register; $count];
            const WIDTH: usize = $count * $lanes;
            const REGISTERS: usize = $count;

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
                // One line is enough: the hardware prefetcher fetches the lines that follow.
                // SAFETY: a prefetch does not access memory, so any address is valid.
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
            unsafe fn product_add(mut sum: Self::Block, a: Self::Block, b: Self::Block) -> Self::Block {
                for i in 0..$count {
                    sum[i] = unsafe { std::arch::x86_64::$fma(a[i], b[i], sum[i]) };
                }
                sum
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
/// Defines `$name`, which implements [`Simd`] with `$count` registers of AVX-512.
#[cfg(target_arch = "x86_64")]
macro_rules! avx512 {
    ($name:ident, $count:literal) => {
        x86!(
            $name,
            __m512,
            $count,
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
    };
}
#[cfg(target_arch = "x86_64")]
avx512!(Avx512, 3);
#[cfg(target_arch = "x86_64")]
avx512!(Avx512Row, 1);
