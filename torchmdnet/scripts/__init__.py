"""Commands. Importing this package sets how OpenMP threads wait, which must happen before torch is imported."""

import os

# threads that spin while they wait make a run on shared cores ten times slower; on idle cores there is no difference
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
