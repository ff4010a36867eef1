"""A small CT study with all that may speak of it: SEG, RTSTRUCT, presentation state, key objects, report."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, TM

STUDY, SERIES, FRAME_OF_REFERENCE = "1.2.826.1.1", "1.2.826.1.2", "1.2.826.1.3"
CT, SEG, RTSTRUCT = uid.CTImageStorage, "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"
GSPS, KO = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.88.59"
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
SIDE = 48


def new_object(sop_class: str, instance: str, modality: str, *, series: str, study: str = STUDY) -> Dataset:
    """What every object of the study has."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = uid.UID(sop_class)
    ds.file_meta.MediaStorageSOPInstanceUID = uid.UID(instance)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "4711", "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "120000", "1", ""
    ds.ReferringPhysicianName, ds.Modality, ds.Manufacturer = "", modality, "ACME"
    ds.BodyPartExamined, ds.PatientPosition = "CHEST", "HFS"
    ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "M", "1", "1"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    return ds


def slice_of(number: int, *, study: str = STUDY, series: str = SERIES) -> Dataset:
    """One slice; its SOP Instance UID ends with its number."""
    ds = new_object(CT, f"{series}.{number}", "CT", series=series, study=study)
    ds.ImageType, ds.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], number
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 5 * number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness, ds.KVP, ds.AcquisitionNumber = [1, 1], 5, 120, 1
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 40, 400
    y, x = np.mgrid[:SIDE, :SIDE]
    picture = (np.sin((x + 3 * number) / 9) + np.cos(y / 7)) * 150 + 1064
    ds.PixelData = picture.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def referring_to(images: list[Dataset], *, frames: list[int] | None = None) -> Sequence:
    """Items of a sequence that refers to instances."""
    made = []
    for image in images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        if frames:
            item.ReferencedFrameNumber = frames
        made.append(item)
    return Sequence(made)


def evidence(objects: list[Dataset]) -> Sequence:
    """Current Requested Procedure Evidence Sequence: by study and series."""
    studies: dict[str, dict[str, list[Dataset]]] = {}
    for one in objects:
        studies.setdefault(one.StudyInstanceUID, {}).setdefault(one.SeriesInstanceUID, []).append(one)
    made = []
    for study, series in studies.items():
        item = Dataset()
        item.StudyInstanceUID = study
        item.ReferencedSeriesSequence = Sequence()
        for number, members in series.items():
            one = Dataset()
            one.SeriesInstanceUID, one.ReferencedSOPSequence = number, referring_to(members)
            item.ReferencedSeriesSequence.append(one)
        made.append(item)
    return Sequence(made)


def segmentation(images: list[Dataset], *, instance: str = "1.2.826.2.1") -> Dataset:
    """Written by highdicom, an independent program."""
    mask = np.zeros((len(images), SIDE, SIDE), bool)
    mask[:, 10:20, 12:30] = True
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid="1.2.826.2",
        series_number=2,
        sop_instance_uid=instance,
        instance_number=1,
        manufacturer="ACME",
        manufacturer_model_name="M",
        software_versions="1",
        device_serial_number="1",
    )
    made.ContentDate, made.ContentTime = DA("20260101"), TM("120000")
    return made


def structure_set(images: list[Dataset], *, instance: str = "1.2.826.3.1") -> Dataset:
    """One contour on every slice."""
    ds = new_object(RTSTRUCT, instance, "RTSTRUCT", series="1.2.826.3")
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "plan", "20260101", "120000"
    ds.OperatorsName, ds.PositionReferenceIndicator, ds.FrameOfReferenceUID = "", "", FRAME_OF_REFERENCE
    frame, study, series = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = FRAME_OF_REFERENCE
    # a reference to a study, which is no file
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
    series.SeriesInstanceUID, series.ContourImageSequence = SERIES, referring_to(images)
    study.RTReferencedSeriesSequence = Sequence([series])
    frame.RTReferencedStudySequence = Sequence([study])
    ds.ReferencedFrameOfReferenceSequence = Sequence([frame])
    roi, contours, observed = Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName = 1, FRAME_OF_REFERENCE, "lesion"
    roi.ROIGenerationAlgorithm = "MANUAL"
    ds.StructureSetROISequence = Sequence([roi])
    contours.ReferencedROINumber, contours.ROIDisplayColor = 1, [255, 0, 0]
    contours.ContourSequence = Sequence()
    for image in images:
        one = Dataset()
        one.ContourImageSequence = referring_to([image])
        one.ContourGeometricType, one.NumberOfContourPoints = "CLOSED_PLANAR", 300
        z = float(image.ImagePositionPatient[2])
        turns = np.linspace(0, 6.28, 300)
        points = [v for t in turns for v in (round(20 + 8 * np.cos(t), 3), round(15 + 8 * np.sin(t), 3), z)]
        one.ContourData = [str(v) for v in points]
        contours.ContourSequence.append(one)
    ds.ROIContourSequence = Sequence([contours])
    observed.ObservationNumber, observed.ReferencedROINumber = 1, 1
    observed.RTROIInterpretedType, observed.ROIInterpreter = "", ""
    ds.RTROIObservationsSequence = Sequence([observed])
    return ds


def presentation_state(images: list[Dataset], *, instance: str = "1.2.826.4.1") -> Dataset:
    """A grey scale soft copy presentation state with one line and one text."""
    ds = new_object(GSPS, instance, "PR", series="1.2.826.4")
    ds.PresentationCreationDate, ds.PresentationCreationTime = "20260101", "120000"
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "FINDING", "", ""
    one = Dataset()
    one.SeriesInstanceUID, one.ReferencedImageSequence = images[0].SeriesInstanceUID, referring_to(images)
    ds.ReferencedSeriesSequence = Sequence([one])
    shown = Dataset()
    shown.ReferencedImageSequence = referring_to(images)
    shown.DisplayedAreaTopLeftHandCorner, shown.DisplayedAreaBottomRightHandCorner = [1, 1], [SIDE, SIDE]
    shown.PresentationSizeMode, shown.PresentationPixelSpacing = "SCALE TO FIT", [1, 1]
    ds.DisplayedAreaSelectionSequence = Sequence([shown])
    layer, drawn, line, text = Dataset(), Dataset(), Dataset(), Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "L", 1
    ds.GraphicLayerSequence = Sequence([layer])
    line.GraphicAnnotationUnits, line.GraphicDimensions = "PIXEL", 2
    line.GraphicType, line.NumberOfGraphicPoints, line.GraphicFilled = "POLYLINE", 400, "N"
    line.GraphicData = [float(v % SIDE) + 1 for v in range(800)]
    text.UnformattedTextValue, text.AnchorPoint, text.AnchorPointVisibility = "lesion", [9, 9], "N"
    text.AnchorPointAnnotationUnits = "PIXEL"
    drawn.ReferencedImageSequence, drawn.GraphicLayer = referring_to(images[:1]), "L"
    drawn.GraphicObjectSequence, drawn.TextObjectSequence = Sequence([line]), Sequence([text])
    ds.GraphicAnnotationSequence = Sequence([drawn])
    ds.PresentationLUTShape = "IDENTITY"
    return ds


def concept(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def content(kind: str, **values: Any) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _document(ds: Dataset, title: Sequence, objects: list[Dataset]) -> Dataset:
    ds.ContentDate, ds.ContentTime = "20260101", "120000"
    ds.ReferencedPerformedProcedureStepSequence = Sequence()
    ds.CurrentRequestedProcedureEvidenceSequence = evidence(objects)
    ds.ValueType, ds.ConceptNameCodeSequence, ds.ContinuityOfContent = "CONTAINER", title, "SEPARATE"
    return ds


def key_objects(images: list[Dataset], *, instance: str = "1.2.826.5.1") -> Dataset:
    ds = new_object(KO, instance, "KO", series="1.2.826.5")
    _document(ds, concept("113000", "DCM", "Of Interest"), images)
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    ds.ContentTemplateSequence = Sequence([template])
    ds.ContentSequence = Sequence(
        [content("IMAGE", ReferencedSOPSequence=referring_to([image])) for image in images]
    )
    return ds


def report(
    images: list[Dataset],
    *,
    others: list[Dataset] | None = None,
    instance: str = "1.2.826.6.1",
    depth: int = 3,
) -> Dataset:
    """A comprehensive report; its references lie in containers in containers."""
    others = others or []
    ds = new_object(REPORT, instance, "SR", series="1.2.826.6")
    _document(ds, concept("126000", "DCM", "Imaging Measurement Report"), [*images, *others])
    ds.CompletionFlag, ds.VerificationFlag, ds.PerformedProcedureCodeSequence = "COMPLETE", "UNVERIFIED", []
    finding = concept("121071", "DCM", "Finding")
    leaves = [
        content("IMAGE", ConceptNameCodeSequence=finding, ReferencedSOPSequence=referring_to([image]))
        for image in images
    ] + [
        content("COMPOSITE", ConceptNameCodeSequence=finding, ReferencedSOPSequence=referring_to([other]))
        for other in others
    ]
    leaves.append(content("TEXT", ConceptNameCodeSequence=finding, TextValue="a long story. " * 400))
    inner = Sequence(leaves)
    for _ in range(depth):
        inner = Sequence(
            [
                content(
                    "CONTAINER",
                    ConceptNameCodeSequence=concept("121070", "DCM", "Findings"),
                    ContinuityOfContent="SEPARATE",
                    ContentSequence=inner,
                )
            ]
        )
    ds.ContentSequence = inner
    return ds


def saved(ds: Dataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def read(data: bytes | Path) -> Dataset:
    return pydicom.dcmread(data if isinstance(data, Path) else io.BytesIO(data))


def write_study(folder: Path, *, slices: int = 3) -> dict[str, Dataset]:
    """Write a study with one object of every kind, the report about the segmentation too."""
    images = [slice_of(number) for number in range(1, slices + 1)]
    seg = segmentation(images)
    objects: dict[str, Dataset] = {f"ct/{number}.dcm": image for number, image in enumerate(images, 1)}
    objects |= {
        "more/seg.dcm": seg,
        "more/rtstruct.dcm": structure_set(images),
        "more/pr.dcm": presentation_state(images),
        "more/ko.dcm": key_objects(images[:2]),
        "more/sr.dcm": report(images, others=[seg]),
    }
    write(folder, objects)
    return objects


def write(folder: Path, objects: Mapping[str, Dataset]) -> None:
    for name, ds in objects.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(saved(ds))


def uids_in(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Every value of every element of UIDs, at any depth, with its keyword."""
    for element in ds.iterall():
        if element.VR == "UI":
            values = (
                element.value if isinstance(element.value, pydicom.multival.MultiValue) else [element.value]
            )
            yield from ((element.keyword, str(value)) for value in values)


def complaints(path: Path) -> set[str]:
    """What dciodvfy finds wrong."""
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}
