"""What the report's page explains, in HTML."""

from __future__ import annotations

HEADLINE = """\
<p>What protects is an answer that does not depend on the image: <b>kappa near 0 and information left
near 0</b>. An accuracy of 0 is not the goal: a model that is always wrong tells as much as one that is
always right, for whoever has a few labelled images learns what its answers mean.</p><ul>
<li><i>Kappa</i> (Cohen's): 1 is always right, 0 as often as answers drawn by chance, below 0 more
seldom.</li>
<li><i>Information left</i>, in points: half of the images teach a table of what each answer means, and
a logistic regression on all outputs; they are judged on the other half. The better one's share of right
answers, less the share of the most frequent class. 0 is nothing.</li>
<li><i>Left</i>: the share of a model's right answers that survives the mark.</li></ul>"""
CONTROLS = """\
<p><i>White box</i>: the marks were searched on this model. <i>Unseen</i>: they were not, so this is
what to expect of a stranger's model. Two controls show what needs no search: <i>random logo</i>, plain
logos at random free places, as large and as many as in {first}, or three of a quarter of the shorter
side where its marks cover the image; and <i>grey panel</i>, an even grey over exactly the marked
pixels, as opaque as it takes to change them as much as the marks do.</p>"""
"""``first`` is the first release."""
READING = """\
<p>Accuracy, balanced accuracy, kappa and AUC are over all images; <i>left</i> and <i>fooled</i> over
those that are answered rightly when clean, with Wilson's interval of 95 %. Kappa is <i>quadratic</i>,
so that a greater distance is a greater error, where the classes are three or more numbers that follow
each other, else <i>plain</i>. Of more than two classes, AUC is the mean of each against the others;
in brackets is what it comes to by chance.
<i>Balanced</i> is the information left when every class counts the same: where one class is far more
frequent than the others, only this shows what a model knows.</p>"""
LEGIBILITY = """\
<p><i>Local contrast kept</i>: at the strongest tenth of the original's edges, which are vessels,
lesions and outlines, how much of their gradient the marked image still has; the rim of eye or body does
not count. <i>Ink</i> is where more than half of the largest change is (of a lattice of logos, the logos
themselves). <i>Clearly</i> changed is what differs by more than a sixteenth of the range from black to
white: about what an opaque logo covers.</p>"""
PROMISE = """\
<p><b>What this does not show:</b> a mark raises the cost of unauthorised analysis and proves origin. It
is not access control: it cannot stop mask-and-inpaint or retraining, nor protect images whose originals
are public. These numbers hold for these models and these images, {condition}.</p>"""
"""Ends the page; ``condition`` is one of the two below."""
AS_THEY_ARE = "looked at as they are; somebody who tries to remove the mark first is another question"
AND_ATTACKS = "and for the attacks that were tried; a cleverer one may get more"
LOOK = "Move the sliders: to the right, the original comes out under the protected image."
